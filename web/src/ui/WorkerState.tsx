import { Badge } from "@mantine/core";
import {
  IconMoon,
  IconPlayerPause,
  IconPlugConnected,
  IconPlugConnectedX,
  IconRefresh,
} from "@tabler/icons-react";

const states = {
  connected: { colour: "green", icon: IconPlugConnected, label: "Connected" },
  grace: { colour: "orange", icon: IconRefresh, label: "Lost, may come back" },
  away: { colour: "gray", icon: IconPlugConnectedX, label: "Away" },
  paused: { colour: "orange", icon: IconPlayerPause, label: "Paused" },
  quiet_hours: { colour: "grape", icon: IconMoon, label: "Quiet hours" },
  draining: { colour: "orange", icon: IconPlayerPause, label: "Finishing" },
} as const;

interface Props {
  state: "connected" | "grace" | "away";
  idle?: "" | "paused" | "quiet_hours" | "draining"; // why a connected one gets nothing new
}

/** A worker's state. */
export function WorkerState({ state, idle = "" }: Props) {
  const { colour, icon: Icon, label } = states[(state === "connected" && idle) || state];
  return (
    <Badge
      variant="light"
      color={colour}
      c={`light-dark(var(--mantine-color-${colour}-9), var(--mantine-color-${colour}-2))`}
      leftSection={<Icon size={12} aria-hidden />}
      tt="none"
    >
      {label}
    </Badge>
  );
}
