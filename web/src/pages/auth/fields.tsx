import { PasswordInput, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";

export interface Credentials extends Record<string, unknown> {
  username: string;
  email: string;
  password: string;
}

export const noCredentials: Credentials = { username: "", email: "", password: "" };

/** What the server will ask of new accounts, said before it is sent. */
export const credentialRules = {
  username: (v: string) =>
    /^[a-z0-9_-]{3,32}$/.test(v) ? null : "3 to 32 of small letters, digits, _ and -",
  email: (v: string) => (/^\S+@\S+$/.test(v) ? null : "An email address, such as ada@example.org"),
  password: (v: string) => ([...v].length >= 8 && [...v].length <= 128 ? null : "8 to 128 characters"),
};

/** The fields of a new account. */
export function CredentialFields<T extends Credentials>({ form }: { form: UseFormReturnType<T> }) {
  return (
    <>
      <TextInput
        label="User name"
        description="Small letters, digits, _ and -"
        autoComplete="username"
        autoCapitalize="none"
        required
        {...form.getInputProps("username")}
      />
      <TextInput label="Email" type="email" autoComplete="email" required {...form.getInputProps("email")} />
      <PasswordInput
        label="Password"
        description="At least 8 characters"
        autoComplete="new-password"
        required
        {...form.getInputProps("password")}
      />
    </>
  );
}
