import { TextInput } from "@mantine/core";
import { fromLocal, toLocal } from "./address";

interface Props {
  label: string;
  value: string | undefined; // RFC 3339
  onChange: (at: string | undefined) => void;
}

/** A point in time, to the minute, in the reader's zone. */
export function TimeInput({ label, value, onChange }: Props) {
  return (
    <TextInput
      type="datetime-local"
      label={label}
      w={210}
      value={toLocal(value)}
      onChange={(e) => onChange(fromLocal(e.currentTarget.value))}
    />
  );
}
