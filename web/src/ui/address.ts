// What a list shows is kept in the address, so that it can be shared and gone back to.
import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** What changes of the address's parameters; undefined, empty and false take one away, true is "1". */
export type Change = Record<string, string | boolean | undefined>;

/** The parameters with some of them changed. */
export function withParams(params: URLSearchParams, change: Change): URLSearchParams {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined || value === "" || value === false) next.delete(name);
    else next.set(name, value === true ? "1" : value);
  }
  return next;
}

/** The address's parameters, and what changes some of them. */
export function useAddress(): [URLSearchParams, (change: Change) => void] {
  const [params, setParams] = useSearchParams();
  const change = useCallback(
    (c: Change) => {
      // The address is ahead of what is drawn, where two changes follow each other closely.
      setParams(withParams(new URLSearchParams(location.search), c), { replace: true });
    },
    [setParams],
  );
  return [params, change];
}

/** The parameter where it is one of the values, else the first of them. */
export function oneOf<T extends string>(value: string | null, values: readonly [T, ...T[]]): T {
  return values.find((v) => v === value) ?? values[0];
}

/** A time as an input of the type datetime-local has it; "": none. */
export function toLocal(at: string | null | undefined): string {
  const ms = Date.parse(at ?? "");
  if (Number.isNaN(ms)) return "";
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The time that such an input says, as the API takes it. */
export function fromLocal(value: string): string | undefined {
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}
