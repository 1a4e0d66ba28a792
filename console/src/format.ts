// Amounts, times and durations as people read them.

/** Nano-dollars as dollars, without rounding. */
export function dollars(nano: number | null | undefined): string {
  if (nano === null || nano === undefined) return "–";
  const value = BigInt(Math.round(nano));
  const sign = value < 0n ? "-" : "";
  const size = value < 0n ? -value : value;
  const rest = String(size % 1_000_000_000n).padStart(9, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${sign}$${(size / 1_000_000_000n).toLocaleString("en-US")}.${rest}`;
}

/** Dollars with three significant digits, for rates and axes. */
export function shortDollars(usd: number): string {
  if (usd === 0) return "$0";
  const size = Math.abs(usd);
  if (size >= 1000) return `$${short(usd)}`;
  return `$${size >= 100 ? usd.toFixed(0) : size >= 0.1 ? usd.toFixed(2) : usd.toPrecision(2).replace(/e-(\d)$/, "e-0$1")}`;
}

export function short(value: number): string {
  const size = Math.abs(value);
  for (const [limit, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]] as const) {
    if (size >= limit) return `${trim(value / (unit === "k" ? 1e3 : limit))}${unit}`;
  }
  return trim(value);
}

function trim(value: number): string {
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export const many = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : value.toLocaleString("en-US"));

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value >= 120) return span(value);
  if (value >= 10) return `${value.toFixed(1)} s`;
  if (value >= 1) return `${value.toFixed(2)} s`;
  const ms = value * 1000;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : ms >= 0.1 ? `${ms.toFixed(1)} ms` : `${(ms * 1000).toFixed(0)} µs`;
}

export const micro = (us: number | null | undefined): string => (us === null || us === undefined ? "–" : seconds(us / 1e6));

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return "–";
  const value = share * 100;
  return `${value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;
}

/** A span of time in its largest two units. */
export function span(value: number): string {
  const parts: string[] = [];
  let left = Math.round(value);
  for (const [size, unit] of [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]] as const) {
    if (left >= size && parts.length < 2) {
      parts.push(`${Math.floor(left / size)} ${unit}`);
      left %= size;
    }
  }
  return parts.join(" ") || "0 s";
}

export function ago(at: number, now = Date.now() / 1000): string {
  const past = now - at;
  return past < 1 ? "now" : `${span(past).split(" ").slice(0, 2).join(" ")} ago`;
}

export const clock = (at: number): string => new Date(at * 1000).toLocaleTimeString([], { hour12: false });

export function moment(at: number | null | undefined): string {
  if (at === null || at === undefined) return "–";
  const date = new Date(at * 1000);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(at) : `${date.toLocaleDateString("en-CA")} ${clock(at).slice(0, 5)}`;
}

/** An amount of a limit in the unit of its metric. */
export function amount(metric: string, value: number): string {
  return metric === "usd" ? dollars(value) : `${many(value)} ${metric}`;
}
