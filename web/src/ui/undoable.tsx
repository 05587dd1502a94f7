import { Button, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import type { ReactNode } from "react";
import { inWords } from "../api/error";

/** How long an action can be taken back, in milliseconds. */
const undoTime = 5_000;

let made = 0;

/**
 * Does something in a few seconds, unless it is taken back meanwhile. A toast
 * says what is about to happen, how far it is, and what came of it. Whoever
 * leaves the site before the end is asked.
 */
export function undoable(what: string, act: (progress: (text: string) => void) => Promise<ReactNode>): void {
  const id = `undoable-${++made}`;
  const ask = (e: BeforeUnloadEvent) => e.preventDefault();
  const say = (message: ReactNode) => notifications.update({ id, message, loading: true, autoClose: false });
  const run = async () => {
    say(what);
    try {
      notifications.update({ id, message: await act(say), loading: false, autoClose: 10_000 });
    } catch (e) {
      notifications.update({
        id,
        color: "red",
        title: "That did not work",
        message: inWords(e),
        loading: false,
        autoClose: false,
      });
    }
    window.removeEventListener("beforeunload", ask);
  };
  const timer = window.setTimeout(() => void run(), undoTime);
  const undo = () => {
    window.clearTimeout(timer);
    window.removeEventListener("beforeunload", ask);
    notifications.hide(id);
  };
  window.addEventListener("beforeunload", ask);
  notifications.show({
    id,
    autoClose: false,
    withCloseButton: false,
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">
          {what} in {undoTime / 1000} seconds
        </Text>
        <Button size="xs" variant="default" onClick={undo}>
          Undo
        </Button>
      </Group>
    ),
  });
}
