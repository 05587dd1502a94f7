import { Autocomplete, Button, Group, Stack, Table, Text } from "@mantine/core";
import { IconClipboardList } from "@tabler/icons-react";
import { type AuditEntry, type AuditFilter, adminActions, useAudit } from "../../api/queries/admin";
import { type Change, useAddress } from "../../ui/address";
import { Empty } from "../../ui/Empty";
import { ExportButton } from "../../ui/ExportButton";
import { dateTime, plural } from "../../ui/format";
import { More } from "../../ui/More";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { TimeInput } from "../../ui/TimeInput";
import { Typed } from "../../ui/Typed";

const names = ["actor", "action", "target", "group", "outcome", "from", "to"] as const;

/** What the address asks for. */
export function auditFilter(params: URLSearchParams): AuditFilter {
  const filter: AuditFilter = {};
  for (const name of names) {
    const value = params.get(name);
    if (!value || ((name === "from" || name === "to") && Number.isNaN(Date.parse(value)))) continue;
    filter[name] = value.slice(0, name === "target" ? 256 : 64);
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
      <Group justify="space-between">
        <Button
          variant="default"
          disabled={Object.keys(filter).length === 0}
          onClick={() => change(Object.fromEntries(names.map((n) => [n, undefined])))}
        >
          Clear the filters
        </Button>
        <ExportButton file="audit.csv" read={() => adminActions.exportAudit(filter)} />
      </Group>
      <Problem error={list.error} retry={() => void list.refetch()} />
      {entries?.length === 0 ? (
        <Empty icon={IconClipboardList} title="No entry matches">
          Only changes and refusals are kept here, not what people read.
        </Empty>
      ) : (
        <Rows
          label="Audit log"
          loading={list.isPending}
          columns={["When", "Who", "Did", "To", "Outcome", "From"]}
        >
          {entries?.map((e) => (
            <Row key={e.id} entry={e} change={change} />
          ))}
        </Rows>
      )}
      <More list={list} label="Show older ones" />
    </Stack>
  );
}

interface Filtering {
  filter: AuditFilter;
  change: (c: Change) => void;
}

function Filters({ filter, change }: Filtering) {
  return (
    <Group align="flex-end">
      <Typed
        label="Who"
        value={filter.actor}
        onChange={(actor) => change({ actor })}
        placeholder="User name or id"
        width={160}
      />
      <Typed
        label="Did"
        value={filter.action}
        onChange={(action) => change({ action })}
        placeholder="Such as delete-group"
        width={180}
      />
      <Typed
        label="To"
        value={filter.target}
        onChange={(target) => change({ target })}
        placeholder="Id"
        width={160}
        max={256}
      />
      <Typed
        label="In the group"
        value={filter.group}
        onChange={(group) => change({ group })}
        placeholder="Id"
        width={160}
      />
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
    </Group>
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
