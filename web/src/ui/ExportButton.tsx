import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconDownload } from "@tabler/icons-react";
import { useState } from "react";
import { inWords } from "../api/error";
import { save } from "./save";

interface Props {
  file: string; // its name
  read: () => Promise<Blob>;
  label?: string;
}

/** A button that fetches a CSV file, as a link cannot: the server wants the token. */
export function ExportButton({ file, read, label = "Export CSV" }: Props) {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      save(file, await read(), "text/csv");
    } catch (e) {
      notifications.show({ color: "red", title: "There is no file", message: inWords(e) });
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      variant="default"
      loading={busy}
      leftSection={<IconDownload size={16} />}
      onClick={() => void run()}
    >
      {label}
    </Button>
  );
}
