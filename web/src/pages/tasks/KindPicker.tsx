import { Autocomplete, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { workersQuery } from "../../api/queries/tasks";
import { useLive } from "../../live/live";
import { plural } from "../../ui/format";
import { builtIn } from "./draft";

const what: Record<string, string> = {
  factorize: "prime factors of a number",
  mean: "mean, smallest and largest of numbers",
  crawl: "pages of web sites and their links",
  sleep: "waits",
  echo: "gives back its input",
};

interface Props {
  group: string;
  kind: string;
  error?: string;
  onChange: (kind: string) => void;
}

/** What is to be done: a built-in kind, one that a connected worker offers, or any other name. */
export function KindPicker({ group, kind, error, onChange }: Props) {
  const client = useQueryClient();
  const query = workersQuery(group);
  const workers = useQuery(query);
  useLive(`group:${group}`, (e) => {
    if (e.type === "worker") void client.invalidateQueries({ queryKey: query.queryKey });
  });
  const ready = (workers.data ?? []).filter((w) => w.state === "connected" && !w.draining);
  const offered = [...new Set(ready.flatMap((w) => w.kinds))].filter((k) => !(k in what)).sort();
  const taking = ready.filter((w) => w.kinds.includes(kind)).length;
  return (
    <div>
      <Autocomplete
        label="Kind"
        description="What a worker has to know"
        required
        withAsterisk={false}
        data={[
          { group: "Built in", items: [...builtIn] },
          ...(offered.length > 0 ? [{ group: "Offered by connected workers", items: offered }] : []),
        ]}
        filter={({ options }) => options}
        renderOption={({ option }) => (
          <span>
            {option.value}{" "}
            <Text span size="sm" c="dimmed">
              {what[option.value]}
            </Text>
          </span>
        )}
        value={kind}
        error={error}
        onChange={onChange}
      />
      {workers.isSuccess && kind && (
        <Text size="sm" c="dimmed" mt={4} aria-live="polite">
          {taking > 0
            ? `${plural(taking, "connected worker")} ${taking === 1 ? "takes" : "take"} this kind.`
            : "No connected worker takes this kind; the task will wait for one."}
        </Text>
      )}
    </div>
  );
}
