import {
  IconMoon,
  IconPlayerPause,
  IconPlugConnected,
  IconPlugConnectedX,
  IconRefresh,
} from "@tabler/icons-react";
import { StateBadge } from "./StateBadge";

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
  return <StateBadge {...states[(state === "connected" && idle) || state]} />;
}
