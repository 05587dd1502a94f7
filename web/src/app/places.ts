import { IconBell, IconDeviceDesktop, IconUser, IconUsersGroup } from "@tabler/icons-react";
import type { User } from "../api/session";

/** What the menu and the palette lead to. */
export function placesOf(_user: User) {
  return [
    { to: "/", label: "Groups", icon: IconUsersGroup },
    { to: "/workers", label: "My workers", icon: IconDeviceDesktop },
    { to: "/notifications", label: "Notifications", icon: IconBell },
    { to: "/account", label: "Account", icon: IconUser },
  ];
}
