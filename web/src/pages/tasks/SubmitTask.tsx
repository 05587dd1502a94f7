import { Anchor, Button, Group, Paper, Skeleton, Stack, Textarea, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { ApiError } from "../../api/error";
import { inputQuery, remember, taskQuery, useMyGroups, useSubmit } from "../../api/queries/tasks";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import {
  blank,
  bodyOf,
  type Draft,
  draftOf,
  type Errors,
  errorsOf,
  formField,
  inputOf,
  modeOf,
} from "./draft";
import { KindInput } from "./KindInput";
import { KindPicker } from "./KindPicker";
import { RunOptions } from "./RunOptions";
import { randomKey } from "./randomKey";

/** The form that submits a task; `?from=` fills it in as that task was. */
export function Component() {
  const { group = "" } = useParams();
  const [params] = useSearchParams();
  const from = params.get("from") ?? "";
  const groups = useMyGroups();
  const task = useQuery({ ...taskQuery(from), enabled: from !== "" });
  const input = useQuery({ ...inputQuery(from), enabled: from !== "" });
  const name = groups.data?.find((g) => g.id === group)?.name;
  const waiting = from !== "" && !(task.data && input.data) && !task.error && !input.error;
  const start = task.data && input.data ? draftOf(task.data, input.data.text) : blank;
  return (
    <Page title={from ? "Run again with changes" : "Submit a task"}>
      <Anchor component={Link} to={`/groups/${group}/tasks`} size="sm">
        Back to the tasks{name && ` of ${name}`}
      </Anchor>
      <Problem error={task.error ?? input.error} />
      {waiting ? <Skeleton height={400} /> : <Form key={from} group={group} start={start} />}
    </Page>
  );
}

function Form({ group, start }: { group: string; start: Draft }) {
  const [draft, setDraft] = useState(start);
  const [errors, setErrors] = useState<Errors>({});
  const [refused, setRefused] = useState(0); // how often; the first wrong field then has the focus
  const submit = useSubmit(group);
  const sent = useRef<{ content: string; body: string }>(undefined);
  const form = useRef<HTMLFormElement>(null);
  const go = useNavigate();
  const client = useQueryClient();
  const change = (more: Partial<Draft>) => {
    setDraft((old) => ({ ...old, ...more }));
    setErrors((old) => Object.fromEntries(Object.entries(old).filter(([f]) => !(f in more))));
  };
  const show = (found: Errors) => {
    setErrors(found);
    setRefused((n) => n + 1);
  };
  useEffect(() => {
    if (refused > 0) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [refused]);
  const send = async () => {
    if (submit.isPending) return;
    const found = errorsOf(draft, Date.now());
    const input = inputOf(draft);
    if (Object.keys(found).length > 0 || !input.ok) return show(found);
    // The same content again, as after a lost answer or a double click, is the same task.
    const content = bodyOf(draft, input.value, "", 0);
    if (sent.current?.content !== content)
      sent.current = { content, body: bodyOf(draft, input.value, randomKey(), Date.now()) };
    try {
      const task = await submit.mutateAsync(sent.current.body);
      remember(client, task);
      await go(`/tasks/${task.id}`);
    } catch (e) {
      if (e instanceof ApiError && e.errors.length > 0)
        show(Object.fromEntries(e.errors.map((f) => [formField(draft, f.field), sentence(f.message)])));
    }
  };
  const shown = submit.error instanceof ApiError && submit.error.errors.length > 0 ? null : submit.error;
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void send();
      }}
    >
      <Stack maw={760}>
        <Paper withBorder p="md">
          <Stack>
            <KindPicker
              group={group}
              kind={draft.kind}
              error={errors.kind}
              onChange={(kind) => change({ kind, reduce: "own" })}
            />
            {modeOf(draft) === "inputs" ? (
              <Textarea
                label="Inputs"
                description="A JSON list; each entry is the input of one part"
                autosize
                minRows={5}
                maxRows={20}
                styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
                value={draft.list}
                error={errors.list}
                onChange={(e) => change({ list: e.currentTarget.value })}
              />
            ) : (
              <KindInput draft={draft} errors={errors} change={change} />
            )}
            <TextInput
              label="Title"
              description="What others see in the list; the search looks for its words"
              maxLength={200}
              value={draft.title}
              error={errors.title}
              onChange={(e) => change({ title: e.currentTarget.value })}
            />
          </Stack>
        </Paper>
        <RunOptions draft={draft} errors={errors} change={change} />
        <Problem error={shown} />
        <Group justify="flex-end">
          <Button type="submit" loading={submit.isPending}>
            Submit
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** A message of the server, which goes with a field's name, as a sentence of its own. */
const sentence = (s: string) => `${s.charAt(0).toUpperCase()}${s.slice(1)}${/[.!?]$/.test(s) ? "" : "."}`;
