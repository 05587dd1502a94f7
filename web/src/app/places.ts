import {
  IconBell,
  IconDeviceDesktop,
  IconListCheck,
  IconShield,
  IconUser,
  IconUsersGroup,
} from "@tabler/icons-react";
import type { User } from "../api/session";

/** What the menu and the palette lead to. */
export function placesOf(user: User) {
  return [
    { to: "/", label: "Groups", icon: IconUsersGroup },
    { to: "/tasks", label: "Tasks", icon: IconListCheck },
    { to: "/workers", label: "My workers", icon: IconDeviceDesktop },
    { to: "/notifications", label: "Notifications", icon: IconBell },
    { to: "/account", label: "Account", icon: IconUser },
    ...(user.admin ? [{ to: "/admin", label: "Administration", icon: IconShield }] : []),
  ];
}

/** The pages of the administration. */
export const adminPages = [
  { value: "overview", label: "Overview" },
  { value: "users", label: "Users" },
  { value: "groups", label: "Groups" },
  { value: "workers", label: "Workers" },
  { value: "queues", label: "Queues" },
  { value: "audit", label: "Audit log" },
];
