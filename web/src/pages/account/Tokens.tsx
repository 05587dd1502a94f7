import {
  Alert,
  Button,
  Group,
  Modal,
  MultiSelect,
  NativeSelect,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "react-router";
import { accountActions, accountKeys, type Token, useTokens } from "../../api/queries/account";
import { useChange, useGroups } from "../../api/queries/groups";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Empty } from "../../ui/Empty";
import { Form } from "../../ui/Form";
import { Copy } from "../../ui/Json";
import { Listing } from "../../ui/Listing";
import { TimeAgo } from "../../ui/TimeAgo";
import { useSubmit } from "../../ui/useSubmit";

const kinds = { worker: "Worker", device: "Device", api: "API" } as const;
const scopes = ["tasks:read", "tasks:write", "groups:read", "groups:write", "devices:read", "metrics"];

/** The user's tokens, for programs. */
export function Tokens() {
  const tokens = useTokens();
  const groups = new Map(useGroups().data?.map((g) => [g.id, g.name]));
  const [making, { open, close }] = useDisclosure();
  return (
    <Stack>
      <Group>
        <Button component={Link} to="/workers/new" leftSection={<IconPlus size={16} />}>
          Add a worker
        </Button>
        <Button variant="default" onClick={open}>
          Make a token for a program or a device
        </Button>
      </Group>
      <Listing
        of={tokens}
        items={tokens.data}
        label="Tokens"
        columns={["Name", "For", "Groups", "Made", "Last used", "Ends", ""]}
        empty={
          <Empty icon={IconKey} title="You have no tokens">
            Workers, devices and programs of yours log in with a token instead of your password.
          </Empty>
        }
        row={(t) => <Row key={t.id} token={t} groups={groups} />}
      />
      <NewToken opened={making} close={close} />
    </Stack>
  );
}

function Row({ token: t, groups }: { token: Token; groups: Map<string, string> }) {
  const revoke = useChange(() => accountActions.revokeToken(t.id), accountKeys.tokens);
  return (
    <Table.Tr>
      <Table.Td>{t.name}</Table.Td>
      <Table.Td>{kinds[t.kind]}</Table.Td>
      <Table.Td>
        {t.groups === null
          ? "all of mine"
          : t.groups.map((g) => groups.get(g) ?? "one that is gone").join(", ")}
      </Table.Td>
      <Table.Td>
        <TimeAgo at={t.created_at} />
      </Table.Td>
      <Table.Td>{t.last_used_at ? <TimeAgo at={t.last_used_at} /> : "never"}</Table.Td>
      <Table.Td>{t.expires_at ? <TimeAgo at={t.expires_at} /> : "never"}</Table.Td>
      <Table.Td ta="right">
        <ConfirmButton
          size="xs"
          variant="default"
          title={`Revoke ${t.name}?`}
          confirm="Revoke"
          message="What is connected with it is closed at once, and it works never again."
          action={() => revoke.mutateAsync(undefined)}
        >
          Revoke
        </ConfirmButton>
      </Table.Td>
    </Table.Tr>
  );
}

function NewToken({ opened, close }: { opened: boolean; close: () => void }) {
  const groups = useGroups().data ?? [];
  const [secret, setSecret] = useState("");
  const make = useChange(accountActions.makeToken, accountKeys.tokens);
  const form = useForm({
    initialValues: {
      name: "",
      kind: "api" as "api" | "device",
      groups: [] as string[],
      scopes: [] as string[],
    },
    validate: {
      name: (v) => (v.trim() ? null : "A name to tell it by"),
      groups: (v, { kind }) => (kind === "device" && v.length !== 1 ? "A device belongs to one group" : null),
    },
  });
  const state = useSubmit(form, async (v) => {
    const made = await make.mutateAsync({
      name: v.name,
      kind: v.kind,
      ...(v.groups.length ? { groups: v.groups } : {}),
      ...(v.kind === "api" && v.scopes.length ? { scopes: v.scopes } : {}),
    });
    setSecret(made.secret);
    form.reset();
  });
  const done = () => {
    setSecret("");
    close();
  };
  const { kind } = form.values;
  const usable = groups.filter((g) => kind === "api" || g.role === "owner" || g.role === "admin");
  return (
    <Modal opened={opened} onClose={done} title="New token" centered>
      {secret ? (
        <Stack>
          <Text>The token, shown this once:</Text>
          <Alert
            color="yellow"
            variant="light"
            className="mono"
            styles={{ message: { color: "var(--mantine-color-text)" } }}
          >
            {secret}
          </Alert>
          <Group justify="flex-end">
            <Copy text={secret} />
            <Button onClick={done}>Done</Button>
          </Group>
        </Stack>
      ) : (
        <Form state={state} send="Make the token" close={done}>
          <TextInput label="Name" required maxLength={64} data-autofocus {...form.getInputProps("name")} />
          <NativeSelect
            label="For"
            data={[
              { value: "api", label: "A program that uses the API" },
              { value: "device", label: "Devices of a group that report their syncs" },
            ]}
            {...form.getInputProps("kind")}
          />
          <MultiSelect
            label={kind === "device" ? "Group" : "Groups"}
            placeholder={form.values.groups.length || kind === "device" ? "" : "All of mine, also later ones"}
            maxValues={kind === "device" ? 1 : undefined}
            data={usable.map((g) => ({ value: g.id, label: g.name }))}
            {...form.getInputProps("groups")}
          />
          {kind === "api" && (
            <MultiSelect
              label="May"
              placeholder={form.values.scopes.length ? "" : "All but metrics"}
              data={scopes}
              {...form.getInputProps("scopes")}
            />
          )}
        </Form>
      )}
    </Modal>
  );
}
