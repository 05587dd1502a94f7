import { Anchor, Button, PasswordInput, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { Link, Navigate, useSearchParams } from "react-router";
import { accountActions } from "../../api/queries/account";
import { useWho } from "../../app/auth";
import { useSubmit } from "../../ui/useSubmit";
import { AuthCard } from "./AuthCard";
import { nextPage } from "./next";

export function Component() {
  const [query] = useSearchParams();
  const who = useWho();
  const form = useForm({
    initialValues: { login: "", password: "" },
    validate: {
      login: (v) => (v ? null : "Your user name or email"),
      password: (v) => (v ? null : "Your password"),
    },
  });
  const { busy, error, submit } = useSubmit(form, accountActions.login);
  if (who.state === "in") return <Navigate to={nextPage(query)} replace />;
  return (
    <AuthCard title="Log in" error={error} onSubmit={submit}>
      <TextInput
        label="User name or email"
        autoComplete="username"
        autoCapitalize="none"
        required
        {...form.getInputProps("login")}
      />
      <PasswordInput
        label="Password"
        autoComplete="current-password"
        required
        {...form.getInputProps("password")}
      />
      <Button type="submit" loading={busy}>
        Log in
      </Button>
      <Text size="sm">
        No account yet?{" "}
        <Anchor component={Link} to={`/register?${query}`} underline="always">
          Make one
        </Anchor>
      </Text>
    </AuthCard>
  );
}
