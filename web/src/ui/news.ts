import type { Notification } from "../api/queries/notifications";
import { devicePage } from "./devicePage";
import { plural } from "./format";
import { roleWords } from "./roles";

/** A notification in a sentence, and the page it is about. */
export function inSentence(n: Notification): { text: string; to: string } {
  const who = n.actor?.username ?? "Somebody";
  const group = n.group?.name ?? "a group";
  const groupPage = n.group ? `/groups/${n.group.id}` : "/";
  const task = n.task?.title || n.task?.kind || "A task";
  const taskPage = n.count > 1 ? `${groupPage}/tasks` : n.task ? `/tasks/${n.task.id}` : groupPage;
  const device = n.device?.name || n.device?.id || "A device";
  const place = n.device && n.group ? devicePage(n.group.id, n.device.id) : groupPage;
  switch (n.type) {
    case "invited":
      return { text: `${who} invites you to ${group}`, to: "/" };
    case "joined":
      return { text: `${who} joined ${group}`, to: `${groupPage}/members` };
    case "left":
      return { text: `${who} left ${group}`, to: `${groupPage}/members` };
    case "kicked":
      return n.user
        ? { text: `${who} removed ${n.user.username} from ${group}`, to: `${groupPage}/members` }
        : { text: `${who} removed you from ${group}`, to: "/" };
    case "role_changed":
      return {
        text: `You are ${n.role ? roleWords[n.role].label.toLowerCase() : "in another role"} of ${group} now`,
        to: groupPage,
      };
    case "group_deleted":
      return { text: `${who} deleted ${group}`, to: "/" };
    case "task_finished":
      return {
        text: n.count > 1 ? `${plural(n.count, "task")} of ${group} finished` : `${task} finished`,
        to: taskPage,
      };
    case "task_failed":
      return {
        text: n.count > 1 ? `${plural(n.count, "task")} of ${group} failed` : `${task} failed`,
        to: taskPage,
      };
    case "worker_lost":
      return n.count > 1
        ? {
            text: `Connections to your workers were lost ${n.count} times, last to ${n.worker?.name}`,
            to: "/workers",
          }
        : {
            text: `The connection to ${n.worker?.name ?? "a worker"} was lost`,
            to: n.worker ? `/workers/${n.worker.id}` : "/workers",
          };
    case "device_failing":
      return { text: `${device} keeps failing`, to: place };
    case "device_silent":
      return { text: `${device} is silent`, to: place };
    case "device_recovered":
      return { text: `${device} works again`, to: place };
  }
}

/** The types in words, for the settings. */
export const typeWords: Record<Notification["type"], string> = {
  invited: "Invitations to me",
  joined: "Somebody joined",
  left: "Somebody left",
  kicked: "Somebody was removed",
  role_changed: "My role changed",
  group_deleted: "A group was deleted",
  task_finished: "My tasks finished",
  task_failed: "My tasks failed",
  worker_lost: "A worker of mine was lost",
  device_failing: "A device keeps failing",
  device_silent: "A device is silent",
  device_recovered: "A device works again",
};
