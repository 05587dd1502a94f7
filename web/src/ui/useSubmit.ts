import type { UseFormReturnType } from "@mantine/form";
import { useState } from "react";
import { showErrors } from "./form";

/** Sends a form: busy meanwhile, errors at their fields, what remains in `error`. */
export function useSubmit<T extends Record<string, unknown>>(
  form: UseFormReturnType<T>,
  send: (values: T) => Promise<unknown>,
) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const submit = form.onSubmit(async (values) => {
    setBusy(true);
    setError(null);
    try {
      await send(values);
    } catch (e) {
      setError(showErrors(form, e));
    } finally {
      setBusy(false);
    }
  });
  return { busy, error, submit };
}
