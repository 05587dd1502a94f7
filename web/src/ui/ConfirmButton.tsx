import { Button, type ButtonProps, Group, Modal, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { type ReactNode, useState } from "react";
import { Problem } from "./Problem";

interface Props extends ButtonProps {
  title: string; // the question
  confirm: string; // what the button that does it says
  action: () => Promise<unknown>;
  message: ReactNode; // what will happen
  children: ReactNode;
}

/** A button for what cannot be undone: it asks first, and stays open where it did not work. */
export function ConfirmButton({ title, confirm, action, message, children, ...button }: Props) {
  const [open, { open: show, close }] = useDisclosure();
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
  return (
    <>
      <Button
        {...button}
        onClick={() => {
          setError(null);
          show();
        }}
      >
        {children}
      </Button>
      <Modal opened={open} onClose={close} title={title} centered>
        <Stack>
          <div>{message}</div>
          <Problem error={error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close} data-autofocus>
              Keep it as it is
            </Button>
            <Button color="red.8" loading={busy} onClick={() => void run()}>
              {confirm}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}
