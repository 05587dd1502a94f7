import { Affix, Button, Group, Paper, Text } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { live, useLiveState } from "../live/live";

const patience = 2000; // ms: a short break is nobody's business

/** Says that what is shown may be old while the connection is broken; it catches up by itself. */
export function Reconnecting() {
  const broken = useLiveState() !== "open";
  const [told, setTold] = useState(false);
  useEffect(() => {
    if (!broken) return setTold(false);
    const timer = setTimeout(() => setTold(true), patience);
    return () => clearTimeout(timer);
  }, [broken]);
  return (
    <Affix position={{ bottom: 16, left: 16, right: 16 }} style={{ pointerEvents: "none" }}>
      <Group justify="center" role="status">
        {told && (
          <Paper withBorder shadow="md" p="xs" style={{ pointerEvents: "auto" }}>
            <Group gap="sm">
              <IconPlugConnectedX size={18} aria-hidden />
              <Text size="sm">
                No connection to the server. What you see may be old; it catches up by itself.
              </Text>
              <Button size="compact-sm" variant="default" onClick={() => live.retryNow()}>
                Try now
              </Button>
            </Group>
          </Paper>
        )}
      </Group>
    </Affix>
  );
}
