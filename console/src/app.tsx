// The shell: navigation, the page that the address names, and the keyboard.

import { useComputed } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError, messageOf, rejected } from "./api";
import { followEvents } from "./live";
import { Login } from "./login";
import { Icon, Dialog, Empty, Toasts, toast, Trouble } from "./parts/ui";
import { GROUPS, PAGES, type Page } from "./registry";
import { link, route } from "./router";
import { allows, callerName, forget, hasTraces, load, logOut, me } from "./session";
import { switchTheme, theme } from "./theme";

const MENU = "M4 7h16M4 12h16M4 17h16";
const SUN = "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4m11.2 11.2L19 19M5 19l1.4-1.4M17.6 6.4 19 5";
const LEAVE = "M14 4h5v16h-5M4 12h11m-4-4 4 4-4 4";
const HELP = "M9.5 9a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8m0 3.5v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18";

export function App() {
  const [state, setState] = useState<"starting" | "out" | "in" | "away">("starting");
  const [problem, setProblem] = useState("");
  const seen = useRef(rejected.value);

  async function enter(): Promise<void> {
    try {
      await load();
      setProblem("");
      setState("in");
    } catch (error) {
      const isUnknown = error instanceof ApiError && error.status === 401;
      setProblem(messageOf(error));
      if (isUnknown) forget();
      setState(isUnknown ? "out" : "away");
      if (isUnknown) throw error;
    }
  }

  useEffect(() => {
    if (hasTraces()) void enter().catch(() => undefined);
    else setState("out");
  }, []);
  useEffect(() => {
    if (rejected.value === seen.current) return;
    seen.current = rejected.value;
    if (state === "in") {
      forget();
      setProblem("Your session is over. Log in again.");
      setState("out");
    }
  }, [rejected.value]);

  if (state === "starting") return null;
  if (state === "away") {
    return (
      <main class="alone">
        <Trouble text={problem} retry={() => void enter().catch(() => undefined)} />
      </main>
    );
  }
  if (state === "out" || !me.value) return <Login problem={problem} enter={enter} />;
  return (
    <>
      <Shell
        leave={async () => {
          await logOut();
          setProblem("");
          setState("out");
        }}
      />
      <Toasts />
    </>
  );
}

function Shell({ leave }: { leave: () => Promise<void> }) {
  const [isOpen, setOpen] = useState(false);
  const [helps, setHelps] = useState(false);
  const pages = useComputed(() => PAGES.filter((one) => allows(one.needs))).value;
  const now = route.value;
  const page = pages.find((one) => one.path === now.path);
  const main = useRef<HTMLElement>(null);

  useEffect(() => {
    const stop = new AbortController();
    void followEvents(stop.signal);
    return () => stop.abort();
  }, []);
  useEffect(() => {
    setOpen(false);
    document.title = page ? `${page.title} · Pointsman` : "Pointsman";
    scrollTo(0, 0);
  }, [now.path, now.rest]);
  useShortcuts(pages, () => setHelps(true));

  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the page
      </a>
      <div class="bar">
        <button type="button" class="plain" aria-label="Menu" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          <Icon path={MENU} />
        </button>
        <Brand />
      </div>
      <div class={`side ${isOpen ? "open" : ""}`}>
        <Brand />
        <nav aria-label="Pages">
          {GROUPS.map((group) => {
            const inside = pages.filter((one) => one.group === group);
            return inside.length === 0 ? null : (
              <div key={group}>
                <h2>{group}</h2>
                {inside.map((one) => (
                  <a key={one.path} href={link(one.path)} aria-current={one.path === now.path ? "page" : undefined}>
                    <Icon path={one.icon} />
                    {one.title}
                  </a>
                ))}
              </div>
            );
          })}
        </nav>
        <footer>
          <a href={link("account")} class="who" title="Your account">
            {callerName.value}
          </a>
          <button type="button" class="plain" aria-label="Keyboard and help" title="Keyboard (?)" onClick={() => setHelps(true)}>
            <Icon path={HELP} />
          </button>
          <button type="button" class="plain" aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"} title="Theme" onClick={switchTheme}>
            <Icon path={SUN} />
          </button>
          <button type="button" class="plain" aria-label="Log out" title="Log out" onClick={() => void leave().catch((error) => toast(messageOf(error), "bad"))}>
            <Icon path={LEAVE} />
          </button>
        </footer>
      </div>
      {isOpen && <div class="veil" onClick={() => setOpen(false)} />}
      <main id="main" ref={main} tabIndex={-1}>
        {page ? <page.view key={page.path} /> : <Missing pages={pages} />}
      </main>
      {helps && <Help pages={pages} close={() => setHelps(false)} />}
    </>
  );
}

function Brand() {
  return (
    <a class="brand" href={link("overview")}>
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path d="M9 27V5M9 16c8 0 14-4 14-11" />
      </svg>
      Pointsman
    </a>
  );
}

function Missing({ pages }: { pages: readonly Page[] }) {
  const first = pages.find((one) => one.group);
  return (
    <Empty title="There is no such page, or your role may not see it.">
      {first && <a href={link(first.path)}>Open {first.title}</a>}
    </Empty>
  );
}

function useShortcuts(pages: readonly Page[], help: () => void): void {
  useEffect(() => {
    let isGoing = false;
    let timer = 0;
    function press(event: KeyboardEvent): void {
      const target = event.target as HTMLElement;
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
      if (isGoing) {
        isGoing = false;
        const page = pages.find((one) => one.key === event.key);
        if (page) location.hash = link(page.path);
      } else if (event.key === "g") {
        isGoing = true;
        clearTimeout(timer);
        timer = window.setTimeout(() => (isGoing = false), 1500);
      } else if (event.key === "/") {
        const field = document.querySelector<HTMLElement>("[data-search]");
        if (field) {
          event.preventDefault();
          field.focus();
        }
      } else if (event.key === "?") {
        help();
      }
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [pages]);
}

function Help({ pages, close }: { pages: readonly Page[]; close: () => void }) {
  return (
    <Dialog title="Keyboard" close={close}>
      <dl class="keys">
        <div>
          <dt><kbd>/</kbd></dt>
          <dd>Search on this page</dd>
        </div>
        <div>
          <dt><kbd>?</kbd></dt>
          <dd>This help</dd>
        </div>
        {pages.map((one) =>
          one.key ? (
            <div key={one.path}>
              <dt>
                <kbd>g</kbd> <kbd>{one.key}</kbd>
              </dt>
              <dd>{one.title}</dd>
            </div>
          ) : null,
        )}
      </dl>
    </Dialog>
  );
}
