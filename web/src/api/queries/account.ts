import { useQuery } from "@tanstack/react-query";
import { api, ok, type Schema } from "../client";
import { session } from "../session";
import { all } from "./pages";

export type LoginSession = Schema<"Session">;
export type Token = Schema<"Token">;
export type NewToken = Schema<"NewToken">;

export const accountKeys = { sessions: ["sessions"] as const, tokens: ["tokens"] as const };

export const useSessions = () =>
  useQuery({
    queryKey: accountKeys.sessions,
    queryFn: () =>
      all((cursor) => ok(api.GET("/api/v1/me/sessions", { params: { query: { limit: 200, cursor } } }))),
  });

export const useTokens = () =>
  useQuery({
    queryKey: accountKeys.tokens,
    queryFn: () =>
      all((cursor) => ok(api.GET("/api/v1/tokens", { params: { query: { limit: 200, cursor } } }))),
  });

/** What one does to one's own account. */
export const accountActions = {
  login: async (body: Schema<"LoginRequestBody">) =>
    session.enter(await ok(api.POST("/api/v1/auth/login", { body }))),
  register: async (body: Schema<"RegisterRequestBody">) =>
    session.enter(await ok(api.POST("/api/v1/auth/register", { body }))),
  setup: async (body: Schema<"SetupRequestBody">) =>
    session.enter(await ok(api.POST("/api/v1/auth/setup", { body }))),
  logout: async () => {
    await ok(api.POST("/api/v1/auth/logout", { body: {} }));
    session.leave(true);
  },
  logoutAll: async () => {
    await ok(api.POST("/api/v1/auth/logout-all"));
    session.leave(true);
  },
  setEmail: async (email: string) => session.update(await ok(api.PATCH("/api/v1/me", { body: { email } }))),
  setPassword: (old_password: string, new_password: string) =>
    ok(api.PUT("/api/v1/me/password", { body: { old_password, new_password } })),
  remove: async (password: string) => {
    await ok(api.DELETE("/api/v1/me", { body: { password } }));
    session.leave(true);
  },
  endSession: (id: string) => ok(api.DELETE("/api/v1/me/sessions/{id}", { params: { path: { id } } })),
  makeToken: (body: Schema<"CreateTokenRequestBody">): Promise<NewToken> =>
    ok(api.POST("/api/v1/tokens", { body })),
  revokeToken: (id: string) => ok(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } })),
};
