/** The page of a device. Its id, which may hold dots and slashes, is no part of the path. */
export const devicePage = (group: string, id: string): string =>
  `/groups/${group}/device?${new URLSearchParams({ id })}`;
