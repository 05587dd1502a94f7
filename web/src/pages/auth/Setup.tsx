import { Button, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { Navigate, useSearchParams } from "react-router";
import { accountActions } from "../../api/queries/account";
import { useWho } from "../../app/auth";
import { useSubmit } from "../../ui/useSubmit";
import { AuthCard } from "./AuthCard";
import { CredentialFields, credentialRules, noCredentials } from "./fields";

export function Component() {
  const [query] = useSearchParams();
  const who = useWho();
  const form = useForm({
    initialValues: { ...noCredentials, code: query.get("code") ?? "" },
    validate: { ...credentialRules, code: (v) => (v ? null : "It stands in the server's log") },
  });
  const { busy, error, submit } = useSubmit(form, ({ code, username, email, password }) =>
    accountActions.setup({ code, username, email, password }),
  );
  if (who.state === "in") return <Navigate to="/" replace />;
  return (
    <AuthCard title="Set up Firmlight" error={error} onSubmit={submit}>
      <Text>Make the first administrator of this server. The code of the link in its log works once.</Text>
      <TextInput label="Code" autoComplete="off" required {...form.getInputProps("code")} />
      <CredentialFields form={form} />
      <Button type="submit" loading={busy}>
        Make the administrator
      </Button>
    </AuthCard>
  );
}
