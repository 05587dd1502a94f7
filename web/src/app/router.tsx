import { createBrowserRouter, Navigate } from "react-router";
import { Public } from "./Public";
import { Lost, RouteError } from "./RouteError";
import { Shell } from "./Shell";

/** Every page; each is loaded when it is first opened. A page file exports `Component`. */
export const router = createBrowserRouter([
  {
    Component: Public,
    ErrorBoundary: RouteError,
    HydrateFallback: () => null,
    children: [
      { path: "login", lazy: () => import("../pages/auth/Login") },
      { path: "register", lazy: () => import("../pages/auth/Register") },
      { path: "setup", lazy: () => import("../pages/auth/Setup") },
      { path: "invite/:code", lazy: () => import("../pages/auth/Invite") },
    ],
  },
  {
    Component: Shell,
    ErrorBoundary: RouteError,
    HydrateFallback: () => null,
    children: [
      {
        ErrorBoundary: RouteError, // the shell stays where a page breaks
        children: [
          { index: true, lazy: () => import("../pages/groups/Groups") },
          {
            path: "groups/:group",
            lazy: () => import("../pages/group/Group"),
            children: [
              { index: true, element: <Navigate to="tasks" replace /> },
              { path: "tasks", lazy: () => import("../pages/tasks/TaskList") },
              { path: "workers", lazy: () => import("../pages/group/GroupWorkers") },
              {
                path: "devices",
                lazy: () => import("../pages/devices/Devices"),
                children: [
                  { index: true, element: <Navigate to="fleet" replace /> },
                  { path: "fleet", lazy: () => import("../pages/devices/Fleet") },
                  { path: "failures", lazy: () => import("../pages/devices/Failures") },
                  { path: "alerts", lazy: () => import("../pages/devices/Alerts") },
                  { path: "rules", lazy: () => import("../pages/devices/Rules") },
                ],
              },
              { path: "members", lazy: () => import("../pages/group/Members") },
              { path: "statistics", lazy: () => import("../pages/group/Statistics") },
              { path: "settings", lazy: () => import("../pages/group/Settings") },
            ],
          },
          { path: "groups/:group/device", lazy: () => import("../pages/devices/DevicePage") },
          { path: "groups/:group/submit", lazy: () => import("../pages/tasks/SubmitTask") },
          { path: "tasks", lazy: () => import("../pages/tasks/TaskList") },
          { path: "tasks/:task", lazy: () => import("../pages/tasks/TaskPage") },
          { path: "workers", lazy: () => import("../pages/workers/OwnWorkers") },
          { path: "workers/new", lazy: () => import("../pages/workers/NewWorker") },
          { path: "workers/:worker", lazy: () => import("../pages/workers/OwnWorkerPage") },
          { path: "notifications", lazy: () => import("../pages/notifications/Notifications") },
          {
            path: "admin",
            lazy: () => import("../pages/admin/Admin"),
            children: [
              { index: true, element: <Navigate to="overview" replace /> },
              { path: "overview", lazy: () => import("../pages/admin/Overview") },
              { path: "users", lazy: () => import("../pages/admin/Users") },
              { path: "groups", lazy: () => import("../pages/admin/Groups") },
              { path: "workers", lazy: () => import("../pages/admin/Workers") },
              { path: "queues", lazy: () => import("../pages/admin/Queues") },
              { path: "audit", lazy: () => import("../pages/admin/Audit") },
            ],
          },
          { path: "account", lazy: () => import("../pages/account/Account") },
          { path: "*", Component: Lost },
        ],
      },
    ],
  },
]);
