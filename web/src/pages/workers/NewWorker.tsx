import {
  Alert,
  Anchor,
  Code,
  Group,
  List,
  MultiSelect,
  Paper,
  Skeleton,
  Stack,
  Tabs,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconCheck } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";
import { accountActions, accountKeys } from "../../api/queries/account";
import { atLeast, useChange, useGroups } from "../../api/queries/groups";
import { type OwnWorker, ownWorkersQuery, useLiveWorkers, useOwnWorkers } from "../../api/queries/workers";
import { Form } from "../../ui/Form";
import { Copy } from "../../ui/Json";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { useSubmit } from "../../ui/useSubmit";
import { commands } from "./commands";

/** Makes a token and shows the command to paste, then waits for the worker to connect. */
export function Component() {
  const [query] = useSearchParams();
  const [made, setMade] = useState<{ secret: string; before: Set<string> }>();
  const queries = useQueryClient();
  const groups = useGroups();
  const make = useChange(accountActions.makeToken, accountKeys.tokens);
  const asked = query.get("group");
  const form = useForm({
    initialValues: { name: "my computer", groups: asked ? [asked] : [] },
    validate: { name: (v) => (v.trim() ? null : "A name to tell it by") },
  });
  const state = useSubmit(form, async ({ name, groups: chosen }) => {
    const token = await make.mutateAsync({
      name,
      kind: "worker",
      ...(chosen.length > 0 ? { groups: chosen } : {}),
    });
    // Those that are connected before the command is shown are not the one.
    const workers = await queries.fetchQuery({ ...ownWorkersQuery, staleTime: 0 });
    setMade({ secret: token.secret, before: connected(workers) });
  });
  const usable = groups.data?.filter((g) => atLeast(g.role, "member")) ?? [];
  return (
    <Page title="Add a worker">
      {made ? (
        <Start {...made} name={form.values.name} />
      ) : (
        <Form width={480} state={state} send="Make the command">
          <Text>
            A worker connects to this server by itself, from behind any network that lets the web out.
          </Text>
          <Problem error={groups.error} />
          {groups.isPending ? (
            <Skeleton h={120} />
          ) : (
            <>
              <TextInput
                label="Name"
                description="Of the token; the worker has the name of its computer"
                required
                maxLength={64}
                {...form.getInputProps("name")}
              />
              <MultiSelect
                label="Groups it works for"
                placeholder={form.values.groups.length ? "" : "All of mine, also later ones"}
                data={usable.map((g) => ({ value: g.id, label: g.name }))}
                {...form.getInputProps("groups")}
              />
            </>
          )}
        </Form>
      )}
    </Page>
  );
}

const connected = (workers: OwnWorker[]) =>
  new Set(workers.filter((w) => w.state === "connected").map((w) => w.id));

interface Made {
  secret: string;
  before: Set<string>; // ids of the workers that were there already
  name: string;
}

function Start({ secret, before, name }: Made) {
  const ways = commands(location.origin, secret);
  return (
    <Stack gap="lg">
      <Paper withBorder p="md">
        <Stack>
          <Title order={2} size="h4">
            1. Start it on “{name}”
          </Title>
          <Tabs defaultValue="go">
            <Tabs.List>
              <Tabs.Tab value="go">Program</Tabs.Tab>
              <Tabs.Tab value="python">Python</Tabs.Tab>
            </Tabs.List>
            {ways.map((way) => (
              <Tabs.Panel key={way.value} value={way.value} pt="sm">
                <Stack gap="sm">
                  <List size="sm">
                    {way.steps.map((s) => (
                      <List.Item key={s}>{s}</List.Item>
                    ))}
                  </List>
                  {way.value === "go" && (
                    <Anchor href="/download/" size="sm">
                      Download the worker
                    </Anchor>
                  )}
                  <Code
                    block
                    className="mono"
                    style={{ whiteSpace: "pre-wrap" }}
                    tabIndex={0}
                    data-testid={`command-${way.value}`}
                  >
                    {way.command}
                  </Code>
                  <Group>
                    <Copy text={way.command} label="Copy the command" />
                  </Group>
                </Stack>
              </Tabs.Panel>
            ))}
          </Tabs>
          <Alert color="yellow" variant="light" styles={{ message: { color: "var(--mantine-color-text)" } }}>
            The token in it is shown this once. Whoever has it can run workers for your groups; you can revoke
            it in your account.
          </Alert>
        </Stack>
      </Paper>
      <Waiting before={before} />
    </Stack>
  );
}

function Waiting({ before }: { before: Set<string> }) {
  useLiveWorkers();
  const arrived = useOwnWorkers().data?.filter((w) => w.state === "connected" && !before.has(w.id));
  return (
    <Paper withBorder p="md" role="status">
      <Stack gap="sm">
        <Title order={2} size="h4">
          2. It connects
        </Title>
        {arrived && arrived.length > 0 ? (
          arrived.map((w) => (
            <Group key={w.id}>
              <IconCheck color="var(--mantine-color-green-7)" aria-hidden />
              <Text>
                <Anchor component={Link} to={`/workers/${w.id}`} underline="always">
                  {w.name}
                </Anchor>{" "}
                is connected, with {w.slots} slots for {w.kinds.join(", ")}
              </Text>
            </Group>
          ))
        ) : (
          <Stack gap={6}>
            <Skeleton h={20} maw={280} />
            <Text size="sm" c="dimmed">
              This page waits for it, and shows it as soon as it is there.
            </Text>
          </Stack>
        )}
      </Stack>
    </Paper>
  );
}
