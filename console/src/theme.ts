// Light or dark: as the system has it, unless the user has chosen.

import { signal } from "@preact/signals";

type Theme = "system" | "light" | "dark";

const NAME = "pointsman-theme";
const isDark = matchMedia("(prefers-color-scheme: dark)");
const chosen = signal<Theme>((localStorage.getItem(NAME) as Theme | null) ?? "system");

/** The theme in force. */
export const theme = signal<"light" | "dark">("light");

function show(): void {
  theme.value = chosen.value === "system" ? (isDark.matches ? "dark" : "light") : chosen.value;
  document.documentElement.dataset["theme"] = theme.value;
}

export function switchTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(NAME, chosen.value);
  show();
}

isDark.addEventListener("change", show);
show();
