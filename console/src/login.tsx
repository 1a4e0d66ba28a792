// The ways in: identity providers, a name and a password with a one-time code, and the admin token or a service token.

import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError, get, messageOf, send, setToken } from "./api";
import { expectSession } from "./session";

interface Ways {
  password: boolean;
  providers: string[];
}

export function Login({ problem, enter }: { problem: string; enter: () => Promise<void> }) {
  const [ways, setWays] = useState<Ways>({ password: false, providers: [] });
  const [asksToken, setAsksToken] = useState(false);
  const [needsCode, setNeedsCode] = useState(false);
  const [error, setError] = useState(problem);
  const [isBusy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const byToken = asksToken || !ways.password;

  useEffect(() => {
    get<Ways>("login").then(setWays, (found) => setError(messageOf(found))); // the admin token works without the store
  }, []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const data = new FormData(form.current ?? undefined);
    const field = (name: string): string => String(data.get(name) ?? "").trim();
    setBusy(true);
    setError("");
    try {
      if (byToken) {
        setToken(field("token"));
      } else {
        setToken("");
        expectSession();
        await send("POST", "login", { name: field("name"), password: String(data.get("password") ?? ""), code: field("code") });
      }
      await enter();
    } catch (found) {
      if (found instanceof ApiError && found.code === "code_required") setNeedsCode(true);
      setError(messageOf(found));
      setToken("");
    } finally {
      setBusy(false);
    }
  }

  return (
    <main class="login">
      <form ref={form} onSubmit={submit}>
        <h1>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M9 27V5M9 16c8 0 14-4 14-11" />
          </svg>
          Pointsman
        </h1>
        {ways.providers.map((name) => (
          <a key={name} class="button" href={`/api/v1/login/${encodeURIComponent(name)}`} onClick={expectSession}>
            Log in with {name}
          </a>
        ))}
        {ways.providers.length > 0 && <p class="or">or</p>}
        {byToken ? (
          <>
            <label>
              Admin token
              <input name="token" type="password" autocomplete="off" required />
            </label>
          </>
        ) : (
          <>
            <label>
              Name
              <input name="name" autocomplete="username" required />
            </label>
            <label>
              Password
              <input name="password" type="password" autocomplete="current-password" required />
            </label>
            {needsCode && (
              <label>
                One-time code
                <input name="code" inputMode="numeric" autocomplete="one-time-code" autoFocus />
              </label>
            )}
          </>
        )}
        <button type="submit" class="main" disabled={isBusy}>
          Open
        </button>
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        {byToken && (
          <p class="hint">
            The gateway printed the admin token at its first start, unless <code>POINTSMAN_ADMIN_TOKEN</code> is set. A service token works too.
          </p>
        )}
        {ways.password && (
          <button type="button" class="plain" onClick={() => setAsksToken(!asksToken)}>
            {byToken ? "Use a password" : "Use a token"}
          </button>
        )}
      </form>
    </main>
  );
}
