import { Group, Mark, Paper, Stack, Switch, Text, TextInput, Title } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { logQuery } from "../../api/queries/tasks";
import { ended, type LogLine, type Task } from "../../api/queries/taskTypes";
import { dateTime, plural } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import classes from "./LogView.module.css";

/** What a task wrote, as it writes it: search, and the end kept in sight. */
export function LogView({ task }: { task: Task }) {
  const log = useQuery(logQuery(task.id));
  const [search, setSearch] = useState("");
  const [follow, setFollow] = useState(true);
  const wanted = search.trim().toLowerCase();
  const lines = log.data?.lines ?? [];
  const shown = useMemo(
    () => (wanted ? lines.filter((l) => l.line.toLowerCase().includes(wanted)) : lines),
    [lines, wanted],
  );
  const dropped = log.data?.dropped ?? 0;
  return (
    <Paper component="section" aria-label="Log" withBorder p="md">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h4">
            Log
          </Title>
          <Group>
            <Text size="sm" c="dimmed" className="numbers">
              {wanted
                ? `${plural(shown.length, "line")} of ${lines.length.toLocaleString()}`
                : plural(lines.length, "line")}
              {dropped > 0 && `; ${plural(dropped, "older line")} not kept`}
            </Text>
            <TextInput
              type="search"
              size="xs"
              aria-label="Search the log"
              placeholder="Search"
              w={140}
              leftSection={<IconSearch size={14} aria-hidden />}
              value={search}
              onChange={(e) => setSearch(e.currentTarget.value)}
            />
            <Switch
              size="sm"
              label="Follow"
              checked={follow}
              onChange={(e) => setFollow(e.currentTarget.checked)}
            />
          </Group>
        </Group>
        <Problem error={log.error} retry={() => void log.refetch()} />
        {shown.length > 0 ? (
          <Lines lines={shown} wanted={wanted} follow={follow} setFollow={setFollow} />
        ) : (
          <Text size="sm" c="dimmed">
            {wanted
              ? "No line has that in it."
              : task.dropped_at
                ? "The log was deleted."
                : ended(task.status)
                  ? "Nothing was written."
                  : "Nothing was written so far."}
          </Text>
        )}
      </Stack>
    </Paper>
  );
}

interface LinesProps {
  lines: LogLine[];
  wanted: string;
  follow: boolean;
  setFollow: (on: boolean) => void;
}

function Lines({ lines, wanted, follow, setFollow }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const list = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => 21,
    overscan: 20,
    getItemKey: (i) => lines[i]?.seq ?? i,
  });
  const last = lines.length - 1;
  useEffect(() => {
    if (follow) list.scrollToIndex(last, { align: "end" });
  }, [follow, last, list]);
  return (
    <div
      ref={box}
      className={classes.box}
      role="log"
      aria-live="off"
      aria-label="Log lines"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard
      tabIndex={0}
      onWheel={(e) => {
        if (e.deltaY < 0 && follow) setFollow(false);
      }}
      onKeyDown={(e) => {
        if (["ArrowUp", "PageUp", "Home"].includes(e.key) && follow) setFollow(false);
      }}
    >
      <div className={classes.inner} style={{ height: list.getTotalSize() }}>
        {list.getVirtualItems().map((v) => {
          const l = lines[v.index];
          return (
            l && (
              <div
                key={l.seq}
                ref={list.measureElement}
                data-index={v.index}
                className={classes.line}
                style={{ transform: `translateY(${v.start}px)` }}
              >
                <time dateTime={l.at} title={dateTime(l.at)}>
                  {l.at.slice(11, 19)}
                </time>
                <span data-stream={l.stream}>
                  <Found text={l.line} wanted={wanted} />
                </span>
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}

function Found({ text, wanted }: { text: string; wanted: string }) {
  const at = wanted ? text.toLowerCase().indexOf(wanted) : -1;
  if (at < 0) return text;
  return (
    <>
      {text.slice(0, at)}
      <Mark>{text.slice(at, at + wanted.length)}</Mark>
      {text.slice(at + wanted.length)}
    </>
  );
}
