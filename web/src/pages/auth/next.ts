/** The page to go to after a login: a path of ours only, never another site. */
export function nextPage(query: URLSearchParams): string {
  const next = query.get("next") ?? "/";
  return /^\/(?![/\\])/.test(next) ? next : "/";
}
