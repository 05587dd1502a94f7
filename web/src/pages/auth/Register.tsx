import { Anchor, Button, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { Link, Navigate, useSearchParams } from "react-router";
import { accountActions } from "../../api/queries/account";
import { useWho } from "../../app/auth";
import { useSubmit } from "../../ui/useSubmit";
import { AuthCard } from "./AuthCard";
import { CredentialFields, credentialRules, noCredentials } from "./fields";
import { nextPage } from "./next";

export function Component() {
  const [query] = useSearchParams();
  const who = useWho();
  const invite = query.get("invite");
  const form = useForm({ initialValues: noCredentials, validate: credentialRules });
  const { busy, error, submit } = useSubmit(form, ({ username, email, password }) =>
    accountActions.register({ username, email, password, ...(invite ? { invite } : {}) }),
  );
  if (who.state === "in") return <Navigate to={nextPage(query)} replace />;
  return (
    <AuthCard title="Make an account" error={error} onSubmit={submit}>
      {invite && <Text>You join the group of your invitation at once.</Text>}
      <CredentialFields form={form} />
      <Button type="submit" loading={busy}>
        Make the account
      </Button>
      <Text size="sm">
        You have one?{" "}
        <Anchor component={Link} to={invite ? `/invite/${invite}` : `/login?${query}`} underline="always">
          {invite ? "Back to the invitation" : "Log in"}
        </Anchor>
      </Text>
    </AuthCard>
  );
}
