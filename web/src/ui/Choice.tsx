import { Select } from "@mantine/core";

interface Props<T extends string> {
  label: string;
  any: string; // what stands there while nothing is chosen
  data: readonly { value: T; label: string }[];
  value: T | undefined;
  onChange: (v: T | undefined) => void;
  width: number;
}

/** A filter with few choices, which can be cleared. */
export function Choice<T extends string>({ label, any, data, value, onChange, width }: Props<T>) {
  return (
    <Select
      label={label}
      placeholder={any}
      clearable
      clearButtonProps={{ "aria-label": any }}
      w={width}
      data={data.map((d) => ({ value: d.value as string, label: d.label }))}
      value={value ?? null}
      onChange={(v) => onChange(data.find((d) => d.value === v)?.value)}
    />
  );
}
