import { Autocomplete, Button, Group, Stack, Table, Text } from "@mantine/core";
import { IconClipboardList } from "@tabler/icons-react";
import { type AuditEntry, type AuditFilter, adminActions, useAudit } from "../../api/queries/admin";
import { type Change, useAddress } from "../../ui/address";
import { Empty } from "../../ui/Empty";
import { ExportButton } from "../../ui/ExportButton";
import { FilterBar } from "../../ui/FilterBar";
import { dateTime, plural } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { TimeInput } from "../../ui/TimeInput";
import { Typed } from "../../ui/Typed";

const names = ["actor", "action", "target", "group", "outcome", "from", "to"] as const;

const most = (name: string) => (name === "target" ? 256 : 64); // characters

/** What the address asks for. */
export function auditFilter(params: URLSearchParams): AuditFilter {
  const filter: AuditFilter = {};
  for (const name of names) {
    const value = params.get(name);
    if (!value || ((name === "from" || name === "to") && Number.isNaN(Date.parse(value)))) continue;
    filter[name] = value.slice(0, most(name));
  }
  return filter;
}

/** Who changed what, and who was refused, newest first. */
export function Component() {
  const [params, change] = useAddress();
  const filter = auditFilter(params);
  const list = useAudit(filter);
  const entries = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <Filters filter={filter} change={change} />
      <Group justify="flex-end">
        {Object.keys(filter).length > 0 && (
          <Button
            variant="default"
            onClick={() => change(Object.fromEntries(names.map((n) => [n, undefined])))}
          >
            Clear the filters
          </Button>
        )}
        <ExportButton file="audit.csv" read={(signal) => adminActions.exportAudit(filter, signal)} />
      </Group>
      <Listing
        of={list}
        items={entries}
        label="Audit log"
        columns={["When", "Who", "Did", "To", "Outcome", "Address"]}
        empty={
          <Empty icon={IconClipboardList} title="No entry matches">
            Only changes and refusals are kept here, not what people read.
          </Empty>
        }
        row={(e) => <Row key={e.id} entry={e} change={change} />}
      />
      <More list={list} label="Show older ones" />
    </Stack>
  );
}

interface Filtering {
  filter: AuditFilter;
  change: (c: Change) => void;
}

const fields = [
  { name: "actor", label: "Who", placeholder: "User name or id" },
  { name: "action", label: "Did", placeholder: "Such as delete-group", width: 180 },
  { name: "target", label: "To", placeholder: "Id" },
  { name: "group", label: "In the group", placeholder: "Id" },
] as const;

function Filters({ filter, change }: Filtering) {
  return (
    <FilterBar>
      {fields.map(({ name, ...field }) => (
        <Typed
          key={name}
          value={filter[name]}
          onChange={(v) => change({ [name]: v })}
          width={160}
          max={most(name)}
          {...field}
        />
      ))}
      <Autocomplete
        label="Outcome"
        placeholder="Any"
        w={150}
        maxLength={64}
        data={["ok", "refused"]}
        value={filter.outcome ?? ""}
        onChange={(outcome) => change({ outcome: outcome || undefined })}
      />
      <TimeInput label="From" value={filter.from} onChange={(from) => change({ from })} />
      <TimeInput label="Before" value={filter.to} onChange={(to) => change({ to })} />
    </FilterBar>
  );
}

function Row({ entry: e, change }: { entry: AuditEntry; change: Filtering["change"] }) {
  const only = (name: "actor" | "action", value: string, text: string) => (
    <Button
      size="compact-xs"
      variant="default"
      onClick={() => change({ [name]: value })}
      aria-label={`Only those of ${text}`}
    >
      {text}
    </Button>
  );
  return (
    <Table.Tr>
      <Table.Td style={{ whiteSpace: "nowrap" }}>{dateTime(e.at)}</Table.Td>
      <Table.Td>
        {e.actor?.id ? only("actor", e.actor.id, e.actor.username) : "nobody known"}
        {e.token_kind && e.token_kind !== "session" && (
          <Text size="xs" c="dimmed">
            with a token ({e.token_kind})
          </Text>
        )}
      </Table.Td>
      <Table.Td>{only("action", e.action, e.action)}</Table.Td>
      <Table.Td miw={200} maw={260} style={{ overflowWrap: "anywhere" }}>
        {e.target_type}{" "}
        <Text span size="xs">
          {e.target}
        </Text>
        {e.group && (
          <Text size="xs" c="dimmed">
            in {e.group}
          </Text>
        )}
      </Table.Td>
      <Table.Td>
        {e.outcome}
        {e.left_out > 0 && (
          <Text size="xs" c="dimmed">
            and {plural(e.left_out, "other")} that are not listed
          </Text>
        )}
      </Table.Td>
      <Table.Td>{e.address}</Table.Td>
    </Table.Tr>
  );
}
