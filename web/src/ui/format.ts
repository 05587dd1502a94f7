const number = new Intl.NumberFormat();
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const shortly = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

/** 12345 as people of the place write it: 12,345. */
export const count = (n: number): string => number.format(n);

/** Few are told with a digit after the point: 0.4, 9.5, 120. */
export const rate = (n: number): string => (n < 10 ? oneDigit : number).format(n < 10 ? n : Math.round(n));

/** 0.987 as 98.7%. */
export const share = (part: number): string => percent.format(part);

/** A time to the second, in the reader's zone. */
export const dateTime = (at: string): string => exact.format(new Date(at));

/** "1 task", "2 tasks". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 minutes ago", "in 2 hours"; within ten seconds "now". Short: "5 min ago", "in 2h". Times in ms. */
export function ago(at: number, now: number, short = false): string {
  const words = short ? shortly : relative;
  const s = (at - now) / 1000;
  for (const [unit, length] of steps)
    if (Math.abs(s) >= length) return words.format(Math.trunc(s / length), unit);
  return Math.abs(s) < 10 ? "now" : words.format(Math.trunc(s), "second");
}

/** A length of time: "820 ms", "3.4 s", "12 min 5 s", "3 h 20 min", "2 d 4 h". */
export function duration(ms: number): string {
  if (ms < 1000) return `${count(Math.round(ms))} ms`;
  if (ms < 60_000) return `${oneDigit.format(Math.floor(ms / 100) / 10)} s`;
  const s = Math.floor(ms / 1000);
  const pair = (big: number, b: string, small: number, l: string) =>
    small ? `${count(big)} ${b} ${small} ${l}` : `${count(big)} ${b}`;
  if (s < 3600) return pair(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return pair(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return pair(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** A sum of whole seconds as a length of time. */
export const seconds = (s: number): string => (s > 0 ? duration(s * 1000) : "under 1 s");

/** A size: "512 B", "1.5 KiB", "3.2 MiB". */
export function bytes(n: number): string {
  if (n < 1024) return `${count(n)} B`;
  if (n < 1024 ** 2) return `${oneDigit.format(n / 1024)} KiB`;
  return `${oneDigit.format(n / 1024 ** 2)} MiB`;
}
