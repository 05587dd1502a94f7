import { Button, Group, type MantineColor, Stack } from "@mantine/core";
import type { FormEventHandler, ReactNode } from "react";
import { Problem } from "./Problem";

interface Props {
  state: { busy: boolean; error: unknown; submit: FormEventHandler<HTMLFormElement> }; // of useSubmit
  send: string; // what the button that sends it says
  color?: MantineColor; // of that button
  second?: boolean; // that button is not what its page is for
  close?: () => void; // of the dialog that the form is in
  keep?: string; // what the button that closes it says
  width?: number; // at most, in pixels
  children: ReactNode; // the fields
}

/** The fields of a form between what went wrong and its buttons. */
export function Form({ state, send, color, second, close, keep = "Cancel", width, children }: Props) {
  return (
    <form onSubmit={state.submit} noValidate>
      <Stack maw={width}>
        <Problem error={state.error} />
        {children}
        <Group justify={close && "flex-end"}>
          {close && (
            <Button variant="default" onClick={close}>
              {keep}
            </Button>
          )}
          <Button type="submit" loading={state.busy} color={color} variant={second ? "default" : "filled"}>
            {send}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
