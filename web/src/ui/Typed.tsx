import { TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";

interface Props {
  label: string;
  value: string | undefined;
  onChange: (v: string | undefined) => void;
  placeholder: string;
  width: number;
  max?: number; // characters
  search?: boolean;
}

/** A field of a filter: what is typed is sent when it pauses. */
export function Typed({ label, value, onChange, placeholder, width, max = 64, search }: Props) {
  const [text, setText] = useState(value ?? "");
  const sent = useRef(value ?? "");
  useEffect(() => {
    if ((value ?? "") === sent.current) return; // what we sent ourselves
    sent.current = value ?? "";
    setText(value ?? "");
  }, [value]);
  const send = useDebouncedCallback((v: string) => {
    sent.current = v.trim();
    onChange(v.trim() || undefined);
  }, 250);
  const type = (v: string) => {
    setText(v);
    send(v);
  };
  return (
    <TextInput
      type={search ? "search" : "text"}
      label={label}
      placeholder={placeholder}
      w={width}
      maw="100%"
      maxLength={max}
      leftSection={search && <IconSearch size={16} aria-hidden />}
      value={text}
      onChange={(e) => type(e.currentTarget.value)}
      {...(search && { "data-search": true })}
    />
  );
}
