import { TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { fromLocal, toLocal } from "./address";

interface Props {
  label: string;
  value: string | undefined; // RFC 3339
  onChange: (at: string | undefined) => void;
}

const earliest = "2000"; // before it, the year is still being typed

/** A point in time, to the minute, in the reader's zone. */
export function TimeInput({ label, value, onChange }: Props) {
  const [text, setText] = useState(toLocal(value));
  useEffect(() => setText(toLocal(value)), [value]);
  const type = (v: string) => {
    setText(v);
    if (v === "" || v >= earliest) onChange(fromLocal(v));
  };
  return (
    <TextInput
      type="datetime-local"
      label={label}
      w={210}
      max="9999-12-31T23:59"
      value={text}
      onChange={(e) => type(e.currentTarget.value)}
    />
  );
}
