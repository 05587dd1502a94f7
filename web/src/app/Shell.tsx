import { AppShell, Burger, Group, NavLink, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDeviceDesktop, IconUsersGroup } from "@tabler/icons-react";
import { useEffect } from "react";
import { Navigate, Outlet, NavLink as RouterLink, useLocation } from "react-router";
import { useWho } from "./auth";
import { ColourScheme } from "./ColourScheme";
import { Logo } from "./Logo";

const places = [
  { to: "/", label: "Groups", icon: IconUsersGroup },
  { to: "/workers", label: "My workers", icon: IconDeviceDesktop },
];

/** The frame of all pages for people who logged in; others are sent to the login and come back. */
export function Shell() {
  const who = useWho();
  const { pathname, search } = useLocation();
  if (who.state === "unknown") return null;
  if (who.state === "out") {
    const next = pathname + search;
    return <Navigate to={next === "/" ? "/login" : `/login?next=${encodeURIComponent(next)}`} replace />;
  }
  return <Frame />;
}

function Frame() {
  const [open, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when the page changes
  useEffect(close, [pathname]);
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !open } }}
      padding="md"
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Menu" />
            <Logo />
            <Text fw={700}>Firmlight</Text>
          </Group>
          <ColourScheme />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs">
        {places.map((p) => (
          <NavLink
            key={p.to}
            component={RouterLink}
            to={p.to}
            label={p.label}
            leftSection={<p.icon size={18} />}
          />
        ))}
      </AppShell.Navbar>
      <AppShell.Main id="main">
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}
