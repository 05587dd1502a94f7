import createClient from "openapi-fetch";
import { ApiError, apiError, unreachable } from "./error";
import type { components, paths } from "./schema";
import { type Session, session } from "./session";

/** A type of the API by its name in the OpenAPI document. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];

/** Sends requests with the access token, and once more where it had just ended. */
export function authorized(who: Session, send: (r: Request) => Promise<Response> = (r) => fetch(r)) {
  return async (request: Request): Promise<Response> => {
    const attempt = async (token: string) => {
      const r = request.clone();
      if (token) r.headers.set("Authorization", `Bearer ${token}`);
      return send(r).catch((e: unknown) => {
        if (request.signal.aborted) throw e;
        throw unreachable();
      });
    };
    const token = await who.token();
    const response = await attempt(token);
    if (response.status !== 401 || token === "") return response;
    const fresh = await who.token(token);
    return fresh === "" ? response : attempt(fresh);
  };
}

/** Every route of the server, typed. Use with `ok`: `ok(api.GET("/api/v1/me"))`. */
export const api = createClient<paths>({ baseUrl: location.origin, fetch: authorized(session) });

/** Returns the body of an answer; throws ApiError where it was refused. */
export async function ok<T>(
  answer: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<Exclude<T, undefined>> {
  const { data, error, response } = await answer;
  if (!response.ok) throw apiError(response, error);
  return data as Exclude<T, undefined>;
}

/** Whether to ask again: only where the server did not answer or had no time. */
export function worthRetrying(failures: number, error: unknown): boolean {
  return failures < 3 && error instanceof ApiError && (error.status === 0 || error.status >= 500);
}
