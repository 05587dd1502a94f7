import { Group, Paper, Skeleton, Stack, Text, Title, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import type { Status, Task } from "../../api/queries/taskTypes";
import { count, duration, plural, share } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { statusLabel } from "../../ui/StatusBadge";
import classes from "./Parts.module.css";
import { tally } from "./tally";

interface Props {
  task: Task;
  parts: Task[] | undefined;
  error: unknown;
}

/** The parts of a task as a grid that fills in; a reader of screens gets each part in words. */
export function Parts({ task, parts, error }: Props) {
  return (
    <Paper component="section" aria-label="Parts" withBorder p="md">
      <Stack gap="sm">
        <Title order={2} size="h4">
          Parts
        </Title>
        <Problem error={error} />
        {parts ? (
          <Summary parts={parts} moved={parts.filter((t) => t?.reassignments).length} />
        ) : (
          <Skeleton height={22} />
        )}
        {parts && parts.length > 0 && <Grid parts={parts} />}
        {parts?.length === 0 && (
          <Text c="dimmed">{task.phase === "splitting" ? "They are being made." : "There are none."}</Text>
        )}
      </Stack>
    </Paper>
  );
}

const order = ["succeeded", "running", "queued", "failed", "cancelled"] as const;

function Summary({ parts, moved }: { parts: Task[]; moved: number }) {
  const n = tally(parts);
  return (
    <Group gap="md" role="group" aria-label="How the parts stand">
      {order
        .filter((s) => n[s] > 0)
        .map((s) => (
          <Group key={s} gap={6}>
            <span className={classes.key} data-status={s} aria-hidden />
            <Text size="sm" className="numbers">
              {count(n[s])} {statusLabel(s).toLowerCase()}
            </Text>
          </Group>
        ))}
      {moved > 0 && <Text size="sm">{plural(moved, "part")} moved to another worker</Text>}
    </Group>
  );
}

const colours: Record<"light" | "dark", Record<Status, string>> = {
  light: {
    scheduled: "#ced4da",
    queued: "#ced4da",
    running: "#339af0",
    succeeded: "#2f9e44",
    failed: "#e03131",
    cancelled: "#e8590c",
  },
  dark: {
    scheduled: "#4b4f54",
    queued: "#4b4f54",
    running: "#339af0",
    succeeded: "#2f9e44",
    failed: "#fa5252",
    cancelled: "#fd7e14",
  },
};

/** The size of a cell with its gap: large for few parts, small for thousands. */
const cellSize = (n: number) => (n <= 64 ? 36 : n <= 400 ? 22 : n <= 2000 ? 14 : 9);

function Grid({ parts }: { parts: Task[] }) {
  const { ref, width } = useElementSize();
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef<Drawn>(undefined);
  const scheme = useComputedColorScheme("light");
  const [at, setAt] = useState(0);
  const [focused, setFocused] = useState(false);
  const [hover, setHover] = useState<number>();
  const go = useNavigate();
  const size = cellSize(parts.length);
  const columns = Math.max(1, Math.floor(width / size));
  const rows = Math.ceil(parts.length / columns);
  useEffect(() => {
    const c = canvas.current;
    if (!c || width === 0) return;
    const look = { columns, size, rows, scheme, marked: focused ? at : hover };
    drawn.current = draw(c, parts, look, drawn.current);
  }, [parts, columns, rows, size, scheme, width, at, focused, hover]);
  const indexAt = (e: React.MouseEvent) => {
    const box = e.currentTarget.getBoundingClientRect();
    const i = Math.floor((e.clientY - box.top) / size) * columns + Math.floor((e.clientX - box.left) / size);
    return i < parts.length && e.clientX - box.left < columns * size ? i : undefined;
  };
  const open = (i: number | undefined) => {
    const t = i === undefined ? undefined : parts[i];
    if (t) void go(`/tasks/${t.id}`);
  };
  const keys: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    PageUp: -columns * 10,
    PageDown: columns * 10,
    Home: -parts.length,
    End: parts.length,
  };
  const current = Math.min(at, parts.length - 1);
  return (
    <div ref={ref}>
      <div
        role="slider"
        tabIndex={0}
        aria-label="Parts; Enter opens one"
        aria-valuemin={1}
        aria-valuemax={parts.length}
        aria-valuenow={current + 1}
        aria-valuetext={told(parts[current], current)}
        className={classes.grid}
        onFocus={(e) => setFocused(e.currentTarget.matches(":focus-visible"))}
        onBlur={() => setFocused(false)}
        onKeyDown={(e) => {
          if (e.key === "Enter") return open(current);
          const step = keys[e.key];
          if (step === undefined) return;
          e.preventDefault();
          setFocused(true);
          setAt(Math.max(0, Math.min(parts.length - 1, current + step)));
        }}
        onMouseMove={(e) => setHover(indexAt(e))}
        onMouseLeave={() => setHover(undefined)}
        onClick={(e) => open(indexAt(e))}
      >
        <canvas ref={canvas} aria-hidden />
      </div>
      <Text size="sm" c="dimmed" mih={22} mt={4} className="numbers">
        {hover !== undefined
          ? told(parts[hover], hover)
          : focused
            ? told(parts[current], current)
            : "Point at a part to see it, click to open it."}
      </Text>
    </div>
  );
}

/** A part in words. */
function told(t: Task | undefined, i: number): string {
  if (!t) return `Part ${i + 1}: not there yet`;
  const words = [`Part ${i + 1}: ${statusLabel(t.status).toLowerCase()}`];
  if (t.worker) words.push(`on ${t.worker.name}`);
  if (t.status === "running" && t.progress?.percent !== undefined)
    words.push(`${share(t.progress.percent / 100)} done`);
  if (t.run_ms !== undefined) words.push(`took ${duration(t.run_ms)}`);
  if (t.reassignments > 0) words.push(`moved to another worker ${plural(t.reassignments, "time")}`);
  if (t.error && t.status === "failed") words.push(t.error.message);
  return words.join(", ");
}

interface Drawing {
  columns: number;
  rows: number;
  size: number;
  scheme: "light" | "dark";
  marked: number | undefined;
}

/** What a canvas shows. */
interface Drawn {
  parts: Task[];
  look: string; // of which size and colours, and how many parts
}

/** Draws the parts that are not as they were drawn before; all of them where the grid is another one. */
function draw(canvas: HTMLCanvasElement, parts: Task[], d: Drawing, before: Drawn | undefined): Drawn {
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [d.columns * d.size, d.rows * d.size];
  const now = { parts, look: JSON.stringify([d, scale, parts.length]) };
  const old = before?.look === now.look ? before.parts : undefined;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale);
    canvas.height = Math.round(h * scale);
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
  }
  const g = canvas.getContext("2d");
  if (!g) return now;
  g.setTransform(scale, 0, 0, scale, 0, 0);
  if (!old) g.clearRect(0, 0, w, h);
  const side = d.size - (d.size > 12 ? 3 : 1);
  for (let i = 0; i < parts.length; i++) {
    const t = parts[i];
    if (old && old[i] === t) continue;
    const [x, y] = [(i % d.columns) * d.size, Math.floor(i / d.columns) * d.size];
    if (old) g.clearRect(x, y, d.size, d.size);
    g.fillStyle = colours[d.scheme][t?.status ?? "queued"];
    const percent = t?.status === "running" ? t.progress?.percent : undefined;
    if (percent === undefined) g.fillRect(x, y, side, side);
    else {
      g.globalAlpha = 0.35;
      g.fillRect(x, y, side, side);
      g.globalAlpha = 1;
      const full = (side * percent) / 100;
      g.fillRect(x, y + side - full, side, full);
    }
    if (t?.status === "failed" && side > 5) cross(g, x, y, side);
    if (i === d.marked) mark(g, x, y, side);
  }
  return now;
}

/** Failed parts are known by more than their colour. */
function cross(g: CanvasRenderingContext2D, x: number, y: number, side: number) {
  g.strokeStyle = "#fff";
  g.lineWidth = Math.max(1, side / 10);
  const [a, b] = [side * 0.25, side * 0.75];
  g.beginPath();
  g.moveTo(x + a, y + a);
  g.lineTo(x + b, y + b);
  g.moveTo(x + b, y + a);
  g.lineTo(x + a, y + b);
  g.stroke();
}

function mark(g: CanvasRenderingContext2D, x: number, y: number, side: number) {
  g.strokeStyle = "#000";
  g.lineWidth = 2;
  g.strokeRect(x + 1, y + 1, side - 2, side - 2);
  g.strokeStyle = "#fff";
  g.lineWidth = 1;
  g.strokeRect(x + 1, y + 1, side - 2, side - 2);
}
