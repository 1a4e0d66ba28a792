# Starts the gateway in a root of its own, asks both addresses whether it is ready, and lists what it wrote.
# Run by test_container.py in namespaces of its own. Variables: R the new root, MOUNTS what is there read-only,
# OWNER who it runs as, HOME_DIR what they may write, CONFIG the file to put in /etc/pointsman, PYTHON, ASK a program that
# prints what an address answers, VARIABLES and COMMAND of the gateway.
set -e
ip link set lo up
mkdir -p "$R"
mount -t tmpfs -o mode=755 tmpfs "$R"
for path in $MOUNTS; do
    if [ -L "$path" ]; then
        ln -s "$(readlink "$path")" "$R$path"
    else
        mkdir -p "$R$path"
        mount --rbind -o ro "$path" "$R$path"
    fi
done
mkdir -p "$R/proc" "$R/dev" "$R/tmp" "$R/etc/pointsman" "$R$HOME_DIR"
mount -t proc proc "$R/proc"
mount --rbind /dev "$R/dev"
chmod 1777 "$R/tmp"
cp "$CONFIG" "$R/etc/pointsman/pointsman.yaml"
chown "$OWNER:$OWNER" "$R$HOME_DIR"

eval "exec env -i $VARIABLES $(command -v chroot) --userspec=$OWNER:$OWNER $R /bin/sh -c '$COMMAND'" &
pid=$!
for _ in $(seq 600); do
    kill -0 $pid 2>/dev/null || { wait $pid; exit $?; }
    "$PYTHON" -c "$ASK" http://127.0.0.1:8080/readyz 2>/dev/null && break
    sleep 0.2
done
"$PYTHON" -c "$ASK" http://127.0.0.1:8081/readyz
find "$R$HOME_DIR" -printf '%M %U %P\n'
kill -TERM $pid
wait $pid
