// Checks of what is typed into the submit form, as the workers make them
// (docs/workloads.md), so that a mistake shows before anything is sent.

export type Checked<T> = { ok: true; value: T } | { ok: false; message: string };

const ok = <T>(value: T): Checked<T> => ({ ok: true, value });
const bad = (message: string): Checked<never> => ({ ok: false, message });

const splitLimit = 10n ** 20n;
const numberLimit = 10n ** 40n;
const divisorsLimit = 10n ** 15n;

export interface Factorable {
  n: string;
  digits: number;
  /** Trial division, which is the only way that can be cut into parts. */
  splits: boolean;
  /** Whether all divisors may be asked for. */
  divisors: boolean;
  /** Divisors to try at most; undefined where the number is not divided by trial. */
  tries?: bigint;
}

/** A number to factorize. Blanks, apostrophes and underscores between digits are passed over. */
export function checkNumber(text: string): Checked<Factorable> {
  const digits = text.replace(/[\s'_]/g, "");
  if (digits === "") return bad("Enter a whole number.");
  if (!/^\d+$/.test(digits)) return bad("Only digits: no sign, no point, no exponent.");
  const n = BigInt(digits);
  if (n < 2n) return bad("The smallest number that has factors is 2.");
  if (n >= numberLimit) return bad(`At most 40 digits; this one has ${n.toString().length}.`);
  const splits = n < splitLimit;
  return ok({
    n: n.toString(),
    digits: n.toString().length,
    splits,
    divisors: n < divisorsLimit,
    tries: splits ? root(n) : undefined,
  });
}

/** The whole part of the square root. */
function root(n: bigint): bigint {
  let x = BigInt(Math.floor(Math.sqrt(Number(n))));
  while (x * x > n) x--;
  while ((x + 1n) * (x + 1n) <= n) x++;
  return x;
}

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** A decimal number, as text has it; undefined for anything else, and for what overflows. */
export function toNumber(cell: string): number | undefined {
  const text = cell.trim();
  if (!decimal.test(text)) return undefined;
  const n = Number(text);
  return Number.isFinite(n) ? n : undefined;
}

export const maxNumbers = 1_000_000;

/** Numbers with blanks, line breaks, commas or semicolons between them. */
export function checkNumbers(text: string): Checked<number[]> {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  if (words.length === 0) return bad("Enter at least one number.");
  if (words.length > maxNumbers) return bad("At most 1,000,000 numbers.");
  const numbers: number[] = [];
  for (const [i, w] of words.entries()) {
    const n = toNumber(w);
    if (n === undefined) return bad(`“${w.slice(0, 40)}” (number ${i + 1}) is not a number.`);
    numbers.push(n);
  }
  return ok(numbers);
}

export const maxUrls = 1000;

export interface Urls {
  urls: string[];
  /** How many lines said the same as another. */
  doubles: number;
}

/** Web addresses, one a line. */
export function checkUrls(text: string): Checked<Urls> {
  const lines = text.split("\n").map((l, i) => ({ text: l.trim(), line: i + 1 }));
  const given = lines.filter((l) => l.text !== "");
  if (given.length === 0) return bad("Enter at least one address.");
  const urls = new Set<string>();
  for (const { text, line } of given) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url)
      return bad(`Line ${line}: “${text.slice(0, 60)}” is not a full address, such as https://example.org/.`);
    if (url.protocol !== "http:" && url.protocol !== "https:")
      return bad(`Line ${line}: only http and https.`);
    if (url.username || url.password)
      return bad(`Line ${line}: an address with a password is not sent to workers.`);
    url.hash = "";
    urls.add(url.href);
  }
  if (urls.size > maxUrls) return bad(`At most 1,000 addresses; these are ${urls.size}.`);
  return ok({ urls: [...urls], doubles: given.length - urls.size });
}

/** JSON text, kept as it was typed: large numbers lose no digit. Empty is allowed and means null. */
export function checkJson(text: string): Checked<string> {
  if (text.trim() === "") return ok("null");
  try {
    JSON.parse(text);
    return ok(text.trim());
  } catch (e) {
    return bad(whereWrong(text, e));
  }
}

function whereWrong(text: string, e: unknown): string {
  const message = e instanceof Error ? e.message : "";
  const at = Number(
    /position (\d+)/.exec(message)?.[1] ??
      (/end of JSON|unterminated/i.test(message) ? text.length : Number.NaN),
  );
  if (Number.isNaN(at)) return "This is not JSON.";
  const before = text.slice(0, at).split("\n");
  if (at >= text.trimEnd().length) return "This JSON is not complete.";
  return `This is not JSON: line ${before.length}, column ${before[before.length - 1].length + 1}.`;
}

/** JSON that has to be a list of 1 to 10,000 entries. */
export function checkJsonList(text: string): Checked<string> {
  const json = checkJson(text);
  if (!json.ok) return json;
  const list: unknown = JSON.parse(json.value);
  if (!Array.isArray(list) || list.length < 1 || list.length > 10_000)
    return bad("Enter a list of 1 to 10,000 inputs: [ … ].");
  return json;
}
