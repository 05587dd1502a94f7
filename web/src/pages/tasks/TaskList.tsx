import { ActionIcon, Anchor, Button, Group, Stack, Text } from "@mantine/core";
import { IconArrowUp, IconListCheck, IconX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { taskKeys, useMyGroups, useTaskPages } from "../../api/queries/tasks";
import type { Task } from "../../api/queries/taskTypes";
import { useUser } from "../../app/auth";
import { useAddress } from "../../ui/address";
import { Empty } from "../../ui/Empty";
import { plural } from "../../ui/format";
import { NoMatch } from "../../ui/NoMatch";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { Bulk } from "./Bulk";
import { Filters } from "./Filters";
import { apiFilter, type Filter, filterFrom, matcher } from "./filter";
import { useBatches, usePatch } from "./live";
import { applyToPages, type Pages, unseen } from "./merge";
import { TaskTable } from "./TaskTable";
import classes from "./TaskTable.module.css";

/** The tasks of one group (inside its page), or of all groups of the user. */
export function Component() {
  const { group } = useParams();
  if (group) return <Tasks groups={[group]} group={group} />;
  return (
    <Page title="Tasks">
      <AllTasks />
    </Page>
  );
}

function AllTasks() {
  const groups = useMyGroups();
  const names = useMemo(() => new Map((groups.data ?? []).map((g) => [g.id, g.name])), [groups.data]);
  const ids = useMemo(() => [...names.keys()], [names]);
  if (groups.error) return <Problem error={groups.error} retry={() => void groups.refetch()} />;
  if (groups.data?.length === 0) {
    return (
      <Empty icon={IconListCheck} title="No tasks yet">
        Tasks belong to a group.{" "}
        <Anchor component={Link} to="/">
          Make a group or join one
        </Anchor>{" "}
        to begin.
      </Empty>
    );
  }
  return <Tasks groups={ids} names={names} />;
}

interface Props {
  groups: string[];
  group?: string; // where there is one
  names?: ReadonlyMap<string, string>; // where there are several
}

/** The most rows that are kept; beyond them the oldest go, and are read again when they are wanted. */
const mostRows = 100_000;

function Tasks({ groups, group, names }: Props) {
  const [params, setParams] = useAddress();
  const user = useUser();
  const text = params.toString();
  const filter = useMemo(() => filterFrom(new URLSearchParams(text)), [text]);
  const wanted = useMemo(() => apiFilter(filter, user.id, Date.now()), [filter, user.id]);
  const [seen, setSeen] = useState<string>(); // the newest row when the reading began; undefined: at the top
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const query = useTaskPages(groups, wanted);
  const { isFetching } = query; // asked for here, so that the page is drawn again when it ends
  const matches = useMemo(() => matcher(wanted, new Set(groups)), [wanted, groups]);
  const reading = seen !== undefined;
  const client = useQueryClient();
  const key = taskKeys.list(groups, wanted);
  const patch = usePatch<Pages>(key, (data, b) => trim(applyToPages(data, b, matches, reading), reading));
  useBatches(
    groups.map((g) => `group:${g}`),
    patch,
    () => void client.invalidateQueries({ queryKey: key }),
  );

  const rows = useMemo(() => query.data?.pages.flatMap((p) => p.items) ?? [], [query.data]);
  const above = unseen(rows, seen);
  const toTop = () => {
    setSeen(undefined);
    // Rows that stayed only because they were being read leave now.
    client.setQueryData<Pages>(key, (old) => old && prune(old, matches));
  };
  const change = (f: Filter) => {
    setSeen(undefined);
    setSelected(new Set());
    setParams(f);
  };
  const filtered = Object.values(filter).some((v) => v !== undefined);
  return (
    <Stack gap="sm">
      <Filters filter={filter} onChange={change} />
      <Bar
        rows={rows.length}
        more={query.hasNextPage}
        selected={selected}
        clear={() => setSelected(new Set())}
      >
        <Bulk
          groups={groups}
          filter={wanted}
          filtered={filtered}
          rows={rows}
          selected={selected}
          onDone={() => setSelected(new Set())}
        />
      </Bar>
      <Problem error={query.error} retry={() => void query.refetch()} />
      {rows.length === 0 && query.isSuccess ? (
        <Nothing
          filtered={filtered}
          group={group}
          clear={() =>
            change({
              status: undefined,
              kind: undefined,
              q: undefined,
              worker: undefined,
              mine: undefined,
              since: undefined,
            })
          }
        />
      ) : (
        <div className={classes.around}>
          {above > 0 && (
            <Button
              size="xs"
              radius="xl"
              className={classes.fresh}
              leftSection={<IconArrowUp size={14} />}
              onClick={toTop}
            >
              {plural(above, "new task")}
            </Button>
          )}
          <TaskTable
            rows={rows}
            above={above}
            names={names}
            atTop={!reading}
            loading={query.isPending}
            stale={query.isPlaceholderData}
            onAway={() => setSeen((old) => old ?? rows[0]?.id)}
            onTop={toTop}
            more={query.hasNextPage && !query.isFetchNextPageError}
            loadMore={() => {
              if (!isFetching) void query.fetchNextPage();
            }}
            selected={selected}
            onSelect={setSelected}
          />
        </div>
      )}
    </Stack>
  );
}

function Bar(props: {
  rows: number;
  more: boolean;
  selected: ReadonlySet<string>;
  clear: () => void;
  children: React.ReactNode;
}) {
  const { rows, more, selected, clear, children } = props;
  return (
    <Group justify="space-between" mih={36} gap="xs">
      <Group gap="xs">
        <Text size="sm" c="dimmed" className="numbers">
          {selected.size > 0
            ? `${plural(selected.size, "task")} selected`
            : `${plural(rows, "task")}${more ? " so far; scroll for more" : ""}`}
        </Text>
        {selected.size > 0 && (
          <ActionIcon variant="subtle" color="gray" aria-label="Clear the selection" onClick={clear}>
            <IconX size={16} />
          </ActionIcon>
        )}
      </Group>
      {children}
    </Group>
  );
}

function Nothing({ filtered, group, clear }: { filtered: boolean; group?: string; clear: () => void }) {
  if (filtered) {
    return (
      <NoMatch icon={IconListCheck} title="No task matches" clear={clear}>
        New tasks that match appear here by themselves.
      </NoMatch>
    );
  }
  return (
    <Empty
      icon={IconListCheck}
      title="No tasks yet"
      action={
        group && (
          <Button component={Link} to={`/groups/${group}/submit`}>
            Submit the first task
          </Button>
        )
      }
    >
      A task is run by one of the group's workers. What members submit appears here at once.
    </Empty>
  );
}

/** Takes the oldest pages away where there are too many rows, never the first. */
function trim(data: Pages, reading: boolean): Pages {
  const total = data.pages.reduce((n, p) => n + p.items.length, 0);
  if (total <= mostRows || reading || data.pages.length < 2) return data;
  return { pages: data.pages.slice(0, -1), pageParams: data.pageParams.slice(0, -1) };
}

function prune(data: Pages, matches: (t: Task) => boolean): Pages {
  if (data.pages.every((p) => p.items.every(matches))) return data;
  return { ...data, pages: data.pages.map((p) => ({ ...p, items: p.items.filter(matches) })) };
}
