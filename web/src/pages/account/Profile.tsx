import { Button, Group, Modal, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { accountActions, accountKeys } from "../../api/queries/account";
import { useChange } from "../../api/queries/groups";
import { useUser } from "../../app/auth";
import { Form } from "../../ui/Form";
import { useSubmit } from "../../ui/useSubmit";
import { credentialRules } from "../auth/fields";

/** The user's name, email, password, and the end of the account. */
export function Profile() {
  return (
    <Stack gap="xl" maw={480}>
      <Email />
      <Password />
      <Deletion />
    </Stack>
  );
}

function Email() {
  const user = useUser();
  const form = useForm({ initialValues: { email: user.email }, validate: { email: credentialRules.email } });
  const state = useSubmit(form, async ({ email }) => {
    await accountActions.setEmail(email);
    notifications.show({ message: "Your email address is changed" });
  });
  return (
    <Form state={state} send="Change the email" second>
      <Text>
        You are <b>{user.username}</b>.
      </Text>
      <TextInput label="Email" type="email" autoComplete="email" {...form.getInputProps("email")} />
    </Form>
  );
}

function Password() {
  const change = useChange(
    (v: { old_password: string; new_password: string }) =>
      accountActions.setPassword(v.old_password, v.new_password),
    accountKeys.sessions,
  );
  const form = useForm({
    initialValues: { old_password: "", new_password: "" },
    validate: {
      old_password: (v) => (v ? null : "Your present password"),
      new_password: credentialRules.password,
    },
  });
  const state = useSubmit(form, async (v) => {
    await change.mutateAsync(v);
    form.reset();
    notifications.show({ message: "Your password is changed; your other sessions have ended" });
  });
  return (
    <Form state={state} send="Change the password" second>
      <Title order={2} size="h4">
        Password
      </Title>
      <PasswordInput
        label="Present password"
        autoComplete="current-password"
        {...form.getInputProps("old_password")}
      />
      <PasswordInput
        label="New password"
        autoComplete="new-password"
        {...form.getInputProps("new_password")}
      />
    </Form>
  );
}

function Deletion() {
  const [open, { open: show, close }] = useDisclosure();
  const form = useForm({
    initialValues: { password: "" },
    validate: { password: (v) => (v ? null : "Your password") },
  });
  const state = useSubmit(form, ({ password }) => accountActions.remove(password));
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Title order={2} size="h4">
          Delete the account
        </Title>
        <Text size="sm" c="dimmed">
          You leave your groups; those that are yours go to somebody else in them, or are deleted where you
          are the last.
        </Text>
        <Group>
          <Button color="red.8" onClick={show}>
            Delete the account
          </Button>
        </Group>
      </Stack>
      <Modal opened={open} onClose={close} title="Delete your account?" centered>
        <Form state={state} send="Delete for good" color="red.8" close={close} keep="Keep it">
          <Text>Your sessions, tokens and workers end at once. This cannot be undone.</Text>
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            data-autofocus
            {...form.getInputProps("password")}
          />
        </Form>
      </Modal>
    </Paper>
  );
}
