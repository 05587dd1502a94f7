import { Button, type ButtonProps, Group, Modal, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { type ReactNode, useState } from "react";
import { Problem } from "./Problem";

interface Question {
  title: string;
  confirm: string; // what the button that does it says
  action: () => Promise<unknown>;
  message: ReactNode; // what will happen
}

/** A button for what cannot be undone: it asks first. */
export function ConfirmButton({
  title,
  confirm,
  action,
  message,
  children,
  ...button
}: Question & ButtonProps & { children: ReactNode }) {
  const [opened, { open, close }] = useDisclosure();
  return (
    <>
      <Button {...button} onClick={open}>
        {children}
      </Button>
      <ConfirmDialog {...{ title, confirm, action, message, opened, close }} />
    </>
  );
}

/** The question; it stays open where what it asks for did not work. */
export function ConfirmDialog(props: Question & { opened: boolean; close: () => void }) {
  const { title, confirm, action, message, opened, close } = props;
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await action();
      close();
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  const leave = () => {
    setError(null);
    close();
  };
  return (
    <Modal opened={opened} onClose={leave} title={title} centered>
      <Stack>
        <div>{message}</div>
        <Problem error={error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={leave} data-autofocus>
            Keep it as it is
          </Button>
          <Button color="red.8" loading={busy} onClick={() => void run()}>
            {confirm}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
