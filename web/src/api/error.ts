import type { components } from "./schema";

/** One field of a request that the server refused. */
export type FieldError = components["schemas"]["Field"];

/** What the server (or the way to it) said no with. `code` is stable, `detail` is for people. */
export class ApiError extends Error {
  readonly status: number; // 0: no answer
  readonly code: string;
  readonly detail: string;
  readonly errors: FieldError[];
  readonly retryAfter: number | null; // seconds

  constructor(
    status: number,
    code: string,
    detail: string,
    errors: FieldError[] = [],
    retryAfter: number | null = null,
  ) {
    super(detail);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

type Problem = Partial<components["schemas"]["Problem"]>;

/** Makes an ApiError of an answer and its body, which need not be a problem (a proxy may have spoken). */
export function apiError(response: Response, body: unknown): ApiError {
  const p: Problem = typeof body === "object" && body !== null ? body : {};
  const after = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return new ApiError(
    response.status,
    p.code ?? "unknown",
    p.detail || p.title || `The server answered with ${response.status}.`,
    p.errors ?? [],
    Number.isFinite(after) ? after : null,
  );
}

/** No answer at all: the server is down or the network is. */
export function unreachable(): ApiError {
  return new ApiError(
    0,
    "unreachable",
    "The server does not answer. Check your connection; this page goes on by itself.",
  );
}

/** What went wrong and what to do, in words for people, of anything that was thrown. */
export function inWords(error: unknown): string {
  if (!(error instanceof ApiError)) return "Something went wrong here. Reload the page, and try again.";
  const fields = error.errors.map((f) => `${f.field}: ${f.message}`).join("; ");
  const wait = error.retryAfter === null ? "" : ` Try again in ${error.retryAfter} s.`;
  return (fields && error.code !== "unknown" ? `${error.detail} (${fields})` : error.detail) + wait;
}
