import { CloseButton, Group, Select, Switch, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { statuses } from "../../api/queries/taskTypes";
import { statusLabel } from "../../ui/StatusBadge";
import type { Filter } from "./filter";

interface Props {
  filter: Filter;
  onChange: (change: Filter) => void;
}

const periods = [
  { value: "1h", label: "Last hour" },
  { value: "24h", label: "Last 24 hours" },
  { value: "7d", label: "Last 7 days" },
];

/** Search and filters of the list; typing is sent when it pauses. */
export function Filters({ filter, onChange }: Props) {
  return (
    <Group gap="sm" align="flex-end" style={{ flex: 1 }}>
      <Typed
        label="Search"
        value={filter.q}
        onChange={(q) => onChange({ q })}
        placeholder="Words of the title, or an id"
        width={240}
        search
      />
      <Select
        label="Status"
        placeholder="Any"
        clearable
        clearButtonProps={{ "aria-label": "Any status" }}
        w={140}
        data={statuses.map((value) => ({ value, label: statusLabel(value) }))}
        value={filter.status ?? null}
        onChange={(v) => onChange({ status: statuses.find((s) => s === v) })}
      />
      <Typed
        label="Kind"
        value={filter.kind}
        onChange={(kind) => onChange({ kind })}
        placeholder="Any"
        width={130}
      />
      <Select
        label="Submitted"
        placeholder="Any time"
        clearable
        clearButtonProps={{ "aria-label": "Any time" }}
        w={150}
        data={periods}
        value={filter.since ?? null}
        onChange={(since) => onChange({ since: since ?? undefined })}
      />
      <Switch
        label="Only mine"
        mb={8}
        checked={filter.mine ?? false}
        onChange={(e) => onChange({ mine: e.currentTarget.checked || undefined })}
      />
      {filter.worker && (
        <TextInput
          label="Run by worker"
          w={180}
          readOnly
          value={filter.worker}
          rightSection={
            <CloseButton size="sm" aria-label="Any worker" onClick={() => onChange({ worker: undefined })} />
          }
        />
      )}
    </Group>
  );
}

interface TypedProps {
  label: string;
  value: string | undefined;
  onChange: (v: string | undefined) => void;
  placeholder: string;
  width: number;
  search?: boolean;
}

function Typed({ label, value, onChange, placeholder, width, search }: TypedProps) {
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
      maxLength={search ? 200 : 64}
      leftSection={search && <IconSearch size={16} aria-hidden />}
      value={text}
      onChange={(e) => type(e.currentTarget.value)}
      {...(search && { "data-search": true })}
    />
  );
}
