import { CloseButton, Switch, TextInput } from "@mantine/core";
import { statuses } from "../../api/queries/taskTypes";
import { Choice } from "../../ui/Choice";
import { FilterBar } from "../../ui/FilterBar";
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
    <FilterBar>
      <Typed
        label="Search"
        value={filter.q}
        onChange={(q) => onChange({ q })}
        placeholder="Words of the title, or an id"
        width={240}
        max={200}
        search
      />
      <Choice
        label="Status"
        any="Any status"
        width={140}
        data={statuses.map((value) => ({ value, label: statusLabel(value) }))}
        value={filter.status}
        onChange={(status) => onChange({ status })}
      />
      <Typed
        label="Kind"
        value={filter.kind}
        onChange={(kind) => onChange({ kind })}
        placeholder="Any kind"
        width={130}
      />
      <Choice
        label="Submitted"
        any="Any time"
        width={150}
        data={periods}
        value={filter.since}
        onChange={(since) => onChange({ since })}
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
    </FilterBar>
  );
}
