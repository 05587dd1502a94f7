import { Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import {
  IconDevices,
  IconLogout,
  IconPlus,
  IconSearch,
  IconShield,
  IconUsersGroup,
} from "@tabler/icons-react";
import { useNavigate } from "react-router";
import { accountActions } from "../api/queries/account";
import { useGroups } from "../api/queries/groups";
import { useUser } from "./auth";
import { adminPages, placesOf } from "./places";

/** The command palette: every place and every group by name, with / or Ctrl K. */
export function Palette() {
  const navigate = useNavigate();
  const user = useUser();
  const groups = useGroups().data ?? [];
  const open = (to: string) => () => void navigate(to);
  const actions: SpotlightActionData[] = [
    ...groups.map((g) => ({
      id: g.id,
      label: g.name,
      description: g.description || "Group",
      leftSection: <IconUsersGroup size={20} />,
      onClick: open(`/groups/${g.id}`),
    })),
    ...groups.map((g) => ({
      id: `submit ${g.id}`,
      label: `Submit a task to ${g.name}`,
      leftSection: <IconPlus size={20} />,
      onClick: open(`/groups/${g.id}/submit`),
    })),
    ...groups.map((g) => ({
      id: `devices ${g.id}`,
      label: `Devices of ${g.name}`,
      leftSection: <IconDevices size={20} />,
      onClick: open(`/groups/${g.id}/devices/fleet`),
    })),
    ...placesOf(user).map((p) => ({
      id: p.to,
      label: p.label,
      leftSection: <p.icon size={20} />,
      onClick: open(p.to),
    })),
    ...(user.admin ? adminPages : []).map((p) => ({
      id: `/admin/${p.value}`,
      label: `Administration: ${p.label}`,
      leftSection: <IconShield size={20} />,
      onClick: open(`/admin/${p.value}`),
    })),
    {
      id: "worker",
      label: "Add a worker",
      leftSection: <IconPlus size={20} />,
      onClick: open("/workers/new"),
    },
    {
      id: "logout",
      label: "Log out",
      leftSection: <IconLogout size={20} />,
      onClick: () => void accountActions.logout(),
    },
  ];
  return (
    <Spotlight
      actions={actions}
      limit={9}
      shortcut={["mod + K", "/"]}
      nothingFound="Nothing has this name"
      searchProps={{ leftSection: <IconSearch size={20} />, placeholder: "Go to…", "aria-label": "Go to" }}
    />
  );
}
