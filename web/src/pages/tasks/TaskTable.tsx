import { memo, useEffect, useEffectEvent, useMemo, useRef } from "react";
import { Link } from "react-router";
import { ended, type Task } from "../../api/queries/taskTypes";
import { dateTime, duration, plural } from "../../ui/format";
import { statusLabel } from "../../ui/StatusBadge";
import { PlainAgo } from "../../ui/TimeAgo";
import { placed, VirtualTable } from "../../ui/VirtualTable";
import classes from "./TaskTable.module.css";

interface Props {
  rows: Task[];
  /** How many of the first rows are held back, as they came while one reads. */
  above: number;
  names?: ReadonlyMap<string, string>; // of groups, where there are several
  atTop: boolean;
  loading: boolean;
  stale: boolean; // rows of the filter before
  onAway: () => void;
  onTop: () => void;
  more: boolean;
  loadMore: () => void;
  selected: ReadonlySet<string>;
  onSelect: (ids: ReadonlySet<string>) => void;
}

/** Tasks as rows, of which only those in sight exist. */
export function TaskTable(props: Props) {
  const { rows, above, names, atTop, onAway, onTop, selected, onSelect, ...rest } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const last = useRef<string>(undefined); // chosen last, for ranges
  const shown = useMemo(() => (above ? rows.slice(above) : rows), [rows, above]);
  useEffect(() => {
    if (atTop) scroller.current?.scrollTo({ top: 0 });
  }, [atTop]);
  const back = useEffectEvent(() => {
    if (!atTop && (scroller.current?.scrollTop ?? 0) <= 4) onTop();
  });
  useEffect(() => {
    if (selected.size === 0) back(); // what was selected held the rows still
  }, [selected.size]);
  const choose = (task: Task, on: boolean, range: boolean) => {
    const next = new Set(selected);
    const from = range && last.current ? rows.findIndex((t) => t.id === last.current) : -1;
    const to = rows.findIndex((t) => t.id === task.id);
    const [a, b] = from < 0 ? [to, to] : [Math.min(from, to), Math.max(from, to)];
    for (const t of rows.slice(a, b + 1)) on ? next.add(t.id) : next.delete(t.id);
    last.current = task.id;
    onAway();
    onSelect(next);
  };
  return (
    <VirtualTable
      label="Tasks"
      rows={shown}
      rowHeight={44}
      around={330}
      scroller={scroller}
      onScroll={(top) => {
        if (top > 4) onAway();
        else if (selected.size === 0 && above === 0 && !atTop) onTop();
      }}
      head={
        <tr aria-rowindex={1} className={classes.row}>
          <th scope="col">
            <span className={classes.hidden}>Select</span>
          </th>
          <th scope="col">Status</th>
          <th scope="col">Task</th>
          <th scope="col" className={classes.wide}>
            Progress
          </th>
          <th scope="col" className={classes.wide}>
            {names ? "Group" : "Worker"}
          </th>
          <th scope="col">Submitted</th>
          <th scope="col" className={classes.wide}>
            Took
          </th>
        </tr>
      }
      row={(task, top, index) => (
        <Row
          key={task.id}
          task={task}
          top={top}
          index={index}
          place={names ? (names.get(task.group_id) ?? "") : (task.worker?.name ?? "")}
          checked={selected.has(task.id)}
          choose={choose}
        />
      )}
      {...rest}
    />
  );
}

interface RowProps {
  task: Task;
  top: number;
  index: number;
  place: string;
  checked: boolean;
  choose: (t: Task, on: boolean, range: boolean) => void;
}

const Row = memo(
  function Row({ task, top, index, place, checked, choose }: RowProps) {
    const name = task.title || task.kind;
    return (
      <tr {...placed(top, index)} className={classes.row} data-checked={checked || undefined}>
        <td>
          <input
            type="checkbox"
            className={classes.check}
            aria-label={`Select ${name}`}
            checked={checked}
            onChange={(e) =>
              choose(
                task,
                e.currentTarget.checked,
                e.nativeEvent instanceof MouseEvent && e.nativeEvent.shiftKey,
              )
            }
          />
        </td>
        <td>
          <span className={classes.status} data-status={task.status}>
            {statusLabel(task.status)}
          </span>
        </td>
        <td className={classes.name}>
          <Link to={`/tasks/${task.id}`} className={classes.link}>
            {name}
          </Link>
          <span className={classes.kind}>{note(task)}</span>
        </td>
        <td className={classes.wide}>
          <Bar task={task} />
        </td>
        <td className={`${classes.wide} ${classes.cut}`}>{place}</td>
        <td>
          <PlainAgo at={task.created_at} />
        </td>
        <td className={classes.wide} title={task.finished_at && dateTime(task.finished_at)}>
          {task.run_ms === undefined ? "" : duration(task.run_ms)}
        </td>
      </tr>
    );
  },
  (a, b) =>
    a.task === b.task &&
    a.top === b.top &&
    a.index === b.index &&
    a.place === b.place &&
    a.checked === b.checked,
);

/** What is worth knowing beside the name. */
function note(t: Task): string {
  const notes = t.title ? [t.kind] : [];
  if (t.fan_out) notes.push("in parts");
  if (t.reassignments > 0) notes.push(`moved ${plural(t.reassignments, "time")}`);
  if (t.error && t.status === "failed") notes.push(t.error.message);
  else if (t.progress?.message && t.status === "running") notes.push(t.progress.message);
  return notes.join(" · ");
}

function Bar({ task }: { task: Task }) {
  const percent = task.progress?.percent;
  if (ended(task.status) || percent === undefined) return null;
  return (
    <progress
      className={classes.bar}
      aria-label={`Progress of ${task.title || task.kind}`}
      max={100}
      value={percent}
    />
  );
}
