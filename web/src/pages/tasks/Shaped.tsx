import { Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { lazy, Suspense } from "react";
import type { RawJson } from "../../api/queries/tasks";
import { count } from "../../ui/format";
import { Json } from "../../ui/Json";
import { ResultTable } from "./ResultTable";
import type { Shape } from "./shapes";

const NumbersChart = lazy(() => import("./NumbersChart"));

/** A result, shown by its shape. Text of it is never taken for HTML. */
export function Shaped({ shape, raw }: { shape: Shape; raw: RawJson }) {
  switch (shape.kind) {
    case "factors":
      return <Factors shape={shape} />;
    case "figures":
      return (
        <Group gap="xl">
          {shape.figures.map(([name, n]) => (
            <div key={name}>
              <Text size="sm" c="dimmed">
                {name}
              </Text>
              <Text size="xl" fw={700} className="numbers">
                {n.toLocaleString(undefined, { maximumFractionDigits: 20 })}
              </Text>
            </div>
          ))}
        </Group>
      );
    case "chart":
      return (
        <Suspense fallback={<Skeleton height={280} />}>
          <NumbersChart numbers={shape.numbers} />
        </Suspense>
      );
    case "tables":
      return (
        <Stack>
          {shape.tables.map((t) => (
            <div key={t.name}>
              {t.name && (
                <Title order={3} size="h5">
                  {t.name}, {count(t.rows.length)}
                </Title>
              )}
              {t.rows.length > 0 && <ResultTable table={t} />}
            </div>
          ))}
        </Stack>
      );
    case "text":
      return <Text style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{shape.text}</Text>;
    case "json":
      return <Json value={raw.value} />;
  }
}

function Factors({ shape }: { shape: Extract<Shape, { kind: "factors" }> }) {
  return (
    <Stack gap="xs">
      <Text size="xl" className="numbers" style={{ overflowWrap: "anywhere" }}>
        {shape.n} ={" "}
        {shape.factors.map(([p, e], i) => (
          <span key={p}>
            {i > 0 && " × "}
            {p}
            {e !== "1" && <sup>{e}</sup>}
          </span>
        ))}
      </Text>
      {shape.prime && <Text>It is a prime number.</Text>}
      {shape.divisors && (
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          {count(shape.divisors.length)} divisors: {shape.divisors.join(", ")}
        </Text>
      )}
    </Stack>
  );
}
