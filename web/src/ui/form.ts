import type { UseFormReturnType } from "@mantine/form";
import { ApiError } from "../api/error";

/**
 * Shows what the server refused at the fields of a form, whose names are those of the
 * body. Returns what no field shows, for a Problem above the form; null: nothing.
 */
export function showErrors<T extends Record<string, unknown>>(
  form: UseFormReturnType<T>,
  error: unknown,
): unknown {
  if (!(error instanceof ApiError) || error.errors.length === 0) return error;
  const values = form.getValues();
  let shown = 0;
  for (const { field, message } of error.errors) {
    const name = field.replace(/^body\./, "");
    if (!(name in values)) continue;
    form.setFieldError(name, message);
    shown++;
  }
  return shown === error.errors.length ? null : error;
}
