import { Button, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconDownload } from "@tabler/icons-react";
import { useState } from "react";
import { inWords } from "../api/error";
import { bytes } from "./format";
import { type Read, saveStream } from "./save";

interface Props {
  file: string; // its name
  read: Read;
}

/** A button that fetches a CSV file, as a link cannot: the server wants the token. */
export function ExportButton({ file, read }: Props) {
  const [running, setRunning] = useState<{ stop: () => void; bytes: number }>();
  const run = async () => {
    const stop = new AbortController();
    setRunning({ stop: () => stop.abort(), bytes: 0 });
    try {
      await saveStream(file, read, (n) => setRunning((r) => r && { ...r, bytes: n }), stop.signal);
    } catch (e) {
      // Who does not say where the file should go wants none.
      const stopped = stop.signal.aborted || (e instanceof DOMException && e.name === "AbortError");
      if (!stopped) notifications.show({ color: "red", title: "There is no file", message: inWords(e) });
    } finally {
      setRunning(undefined);
    }
  };
  if (!running)
    return (
      <Button variant="default" leftSection={<IconDownload size={16} />} onClick={() => void run()}>
        Export CSV
      </Button>
    );
  return (
    <Group gap="sm">
      <Text size="sm" c="dimmed" className="numbers" role="status">
        {bytes(running.bytes)} so far
      </Text>
      <Button variant="default" onClick={running.stop}>
        Stop the export
      </Button>
    </Group>
  );
}
