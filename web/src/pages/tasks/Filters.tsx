import { CloseButton, Group, Select, Switch, TextInput } from "@mantine/core";
import { statuses } from "../../api/queries/taskTypes";
import { statusLabel } from "../../ui/StatusBadge";
import { Typed } from "../../ui/Typed";
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
        max={200}
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
